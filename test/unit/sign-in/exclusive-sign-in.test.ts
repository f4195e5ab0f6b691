import { describe, expect, it } from 'vitest'
import { chooseMethod } from '../../../src/sign-in/exclusive-sign-in.js'

describe('chooseMethod', () => {
  const server = (device: boolean) => ({
    server: {
      issuer: 'https://as',
      deviceAuthorizationEndpoint: device ? 'https://as/device' : undefined,
    } as never,
  })
  const at = (hasBrowser: boolean, method: 'auto' | 'browser' | 'device' | 'paste' = 'auto') => ({
    options: { method } as never,
    environment: {
      hasBrowser,
      why: hasBrowser ? undefined : 'This is an SSH session',
      isWsl: false,
    },
  })

  it.each([
    [true, true, 'browser'],
    [true, false, 'browser'],
    [false, true, 'device'],
    [false, false, 'paste'],
  ])(
    '[bridge-sign-in-method] with a browser %s and codes offered %s takes %s',
    (hasBrowser, device, expected) => {
      expect(chooseMethod(at(hasBrowser), server(device)).method).toBe(expected)
    },
  )

  it('takes what was asked for', () => {
    expect(chooseMethod(at(false, 'browser'), server(true)).method).toBe('browser')
    expect(() => chooseMethod(at(true, 'device'), server(false))).toThrow('does not offer')
  })
})
