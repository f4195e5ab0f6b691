import { describe, expect, it } from 'vitest'
import { isTemporary, launchOf } from '../../../src/hosts/launch.js'

const PROGRAM = { node: 'C:\\node.exe', script: 'C:\\a b\\bin.js' }

describe('launchOf', () => {
  it.each(['linux', 'darwin', 'win32'] as const)(
    '[bridge-launch-command] names Node and the script with --absolute on %s',
    (platform) => {
      expect(launchOf({ platform, program: PROGRAM }, 'acme', { absolute: true })).toEqual({
        kind: 'stdio',
        command: 'C:\\node.exe',
        args: ['C:\\a b\\bin.js', 'stdio', 'acme'],
      })
    },
  )

  it.each(['https://a/mcp?x=1&y=2', 'https://a/%20', 'https://a/^', 'https://a/?q=a|b'])(
    'refuses %s for cmd.exe, and says what to do',
    (url) => {
      const start = (absolute: boolean) =>
        launchOf({ platform: 'win32', program: PROGRAM }, url, { absolute })
      expect(() => start(false)).toThrow(
        expect.objectContaining({ code: 'USAGE', hint: expect.stringContaining('--absolute') }),
      )
      expect(start(true).args).toContain(url)
    },
  )

  it.each([
    ['/home/u/.npm/_npx/1a2b/node_modules/mcp-descope-proxy/bin/x.js', true],
    ['C:\\Users\\u\\npm-cache\\_npx\\1a2b\\x.js', true],
    ['/usr/lib/node_modules/mcp-descope-proxy/bin/x.js', false],
  ])('tells whether %s is a copy that goes away', (script, expected) => {
    expect(isTemporary(script)).toBe(expected)
  })
})
