import { describe, expect, it } from 'vitest'
import type { Caller } from '../../../../src/auth/credential.js'
import {
  type CredentialSettings,
  createCredential,
} from '../../../../src/auth/credentials/create.js'
import type { DescopeSettings } from '../../../../src/auth/service.js'
import type { CredentialConfig, DescopeConfig } from '../../../../src/config/types.js'
import { createTestClock } from '../support.js'

// What the configuration holds is what these functions take: this is checked by the compiler.
const _credential = (config: CredentialConfig): CredentialSettings => config
const _descope = (config: DescopeConfig): DescopeSettings => config

const nobody: Caller = { principal: undefined, accessToken: undefined }
const deps = {
  runtime: {
    fetch: () => Promise.reject(new Error('Nothing is to be fetched')),
    clock: createTestClock(),
  },
  targetUrl: 'https://target.example/mcp',
  descope: undefined,
}

describe('createCredential', () => {
  it.each([
    { settings: { type: 'none' } as const, headers: {} },
    {
      settings: { type: 'bearer', token: 'abc.def~+/=' } as const,
      headers: { authorization: 'Bearer abc.def~+/=' },
    },
    {
      settings: { type: 'header', name: 'X-Api-Key', value: 'two words' } as const,
      headers: { 'x-api-key': 'two words' },
    },
  ])('gives $headers for $settings.type, always the same object', ({ settings, headers }) => {
    const credential = createCredential(settings, deps)
    const first = credential.headers(nobody)
    expect(first).toEqual(headers)
    expect(credential.headers(nobody)).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
    expect(credential.refused(nobody)).toBe(false)
  })

  it.each([
    { type: 'bearer', token: '' },
    { type: 'bearer', token: 'line\nbreak' },
    { type: 'bearer', token: 'two words' },
    { type: 'header', name: 'X-Key', value: '' },
    { type: 'header', name: 'X-Key', value: 'a\r\nHost: evil' },
    { type: 'header', name: 'X-Key', value: ' padded' },
    { type: 'header', name: 'X Key', value: 'a' },
    { type: 'header', name: '', value: 'a' },
    { type: 'header', name: 'Host', value: 'a' },
    { type: 'header', name: 'Content-Length', value: '1' },
    { type: 'header', name: 'Mcp-Session-Id', value: '1' },
  ] as const)('refuses %j and does not repeat its value', (settings) => {
    const create = () => createCredential(settings, deps)
    expect(create).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(create).not.toThrow(/evil|break|words|padded/)
  })

  it.each([
    {
      type: 'token-exchange',
      clientId: 'c',
      clientSecret: 's',
      scope: undefined,
      resource: undefined,
      audience: undefined,
    },
    { type: 'connection', app: 'github', by: 'user', managementKey: 'k' },
  ] as const)('needs Descope for $type', (settings) => {
    expect(() => createCredential(settings, deps)).toThrow(
      `The credential type "${settings.type}" needs Descope`,
    )
  })
})
