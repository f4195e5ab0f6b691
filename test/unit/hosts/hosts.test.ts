import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HOST_IDS, type HostId } from '../../../src/hosts/host.js'
import { checkName, claudeDesktopFile, deriveName, findHost } from '../../../src/hosts/hosts.js'
import { ProxyError } from '../../../src/util/errors.js'

describe('the name of a server', () => {
  it.each([
    ['mcp.acme.com', 'mcp-acme-com'],
    ['localhost:8000', 'localhost-8000'],
    ['[::1]:8000', '1-8000'],
    ['xn--bcher-kva.example', 'xn--bcher-kva-example'],
    ['my_target', 'my_target'],
    ['…', 'mcp'],
    [`${'a'.repeat(39)}.com`, 'a'.repeat(39)],
  ])('is made from %s', (from, name) => {
    expect(deriveName(findHost('cursor'), from)).toBe(name)
  })

  it('has no underscore for Gemini CLI, whose rules break on it', () => {
    expect(deriveName(findHost('gemini'), 'my_target')).toBe('my-target')
  })

  it('fits every host, whatever it is made from', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...HOST_IDS), (from, id) => {
        const host = findHost(id)
        expect(checkName(host, deriveName(host, from))).toMatch(/^[A-Za-z0-9_-]{1,40}$/)
      }),
    )
  })

  it.each([
    { id: 'cursor', name: '', says: 'is empty' },
    { id: 'cursor', name: ' a', says: 'spaces around' },
    { id: 'vscode', name: 'a\nb', says: 'control characters' },
    { id: 'vscode', name: 'a\u001b[2J', says: 'control characters' },
    { id: 'vscode', name: '\ud800', says: 'control characters' },
    { id: 'cursor', name: 'a'.repeat(65), says: 'longer than 64' },
    { id: 'claude-code', name: 'my server', says: 'letters, digits, "-" and "_"' },
    { id: 'codex', name: 'a.b', says: 'letters, digits, "-" and "_"' },
    { id: 'gemini', name: 'a_b', says: 'letters, digits and "-"' },
  ])('is refused for $id when it is $name', ({ id, name, says }) => {
    expect(() => checkName(findHost(id), name)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(says) }),
    )
  })

  it.each(['My Server', 'Ärger & Söhne', '__proto__', 'a"b\\c'])('may be %s', (name) => {
    expect(checkName(findHost('vscode'), name)).toBe(name)
  })
})

const MAC = { platform: 'darwin', homeDir: '/Users/Zoë B', cwd: '/p', env: {} } as const

const LINUX = { platform: 'linux', homeDir: '/home/zoë', cwd: '/p', env: {} } as const

const WINDOWS = {
  platform: 'win32',
  homeDir: 'C:\\Users\\Zoë B',
  cwd: 'C:\\p',
  env: { APPDATA: 'D:\\Roaming' },
} as const

const SUPPORT = '/Users/Zoë B/Library/Application Support'

const FILES: Record<HostId, { darwin: string; linux: string; win32: string }> = {
  'claude-desktop': {
    darwin: `${SUPPORT}/Claude/claude_desktop_config.json`,
    linux: '/home/zoë/.config/Claude/claude_desktop_config.json',
    win32: 'D:\\Roaming\\Claude\\claude_desktop_config.json',
  },
  'claude-code': {
    darwin: '/Users/Zoë B/.claude.json',
    linux: '/home/zoë/.claude.json',
    win32: 'C:\\Users\\Zoë B\\.claude.json',
  },
  cursor: {
    darwin: '/Users/Zoë B/.cursor/mcp.json',
    linux: '/home/zoë/.cursor/mcp.json',
    win32: 'C:\\Users\\Zoë B\\.cursor\\mcp.json',
  },
  vscode: {
    darwin: `${SUPPORT}/Code/User/mcp.json`,
    linux: '/home/zoë/.config/Code/User/mcp.json',
    win32: 'D:\\Roaming\\Code\\User\\mcp.json',
  },
  windsurf: {
    darwin: '/Users/Zoë B/.codeium/windsurf/mcp_config.json',
    linux: '/home/zoë/.codeium/windsurf/mcp_config.json',
    win32: 'C:\\Users\\Zoë B\\.codeium\\windsurf\\mcp_config.json',
  },
  codex: {
    darwin: '/Users/Zoë B/.codex/config.toml',
    linux: '/home/zoë/.codex/config.toml',
    win32: 'C:\\Users\\Zoë B\\.codex\\config.toml',
  },
  gemini: {
    darwin: '/Users/Zoë B/.gemini/settings.json',
    linux: '/home/zoë/.gemini/settings.json',
    win32: 'C:\\Users\\Zoë B\\.gemini\\settings.json',
  },
}

describe('the file of a host', () => {
  it.each(HOST_IDS.flatMap((id) => [MAC, LINUX, WINDOWS].map((where) => ({ id, where }))))(
    'is where $id looks on $where.platform',
    ({ id, where }) => {
      expect(findHost(id).userFile(where)).toBe(FILES[id][where.platform])
    },
  )

  it.each([
    { id: 'vscode', env: { XDG_CONFIG_HOME: '/x' }, file: '/x/Code/User/mcp.json' },
    {
      id: 'vscode',
      env: { XDG_CONFIG_HOME: 'relative' },
      file: '/home/zoë/.config/Code/User/mcp.json',
    },
    { id: 'codex', env: { CODEX_HOME: '/x' }, file: '/x/config.toml' },
    { id: 'claude-code', env: { CLAUDE_CONFIG_DIR: '/x' }, file: '/x/.claude.json' },
  ])('follows the variables of $id: $env', ({ id, env, file }) => {
    expect(findHost(id).userFile({ ...LINUX, env })).toBe(file)
  })

  it('has a default on Windows where APPDATA is missing', () => {
    expect(findHost('vscode').userFile({ ...WINDOWS, env: {} })).toBe(
      'C:\\Users\\Zoë B\\AppData\\Roaming\\Code\\User\\mcp.json',
    )
  })

  it('is that of the Store when Claude Desktop comes from there', () => {
    const folders: string[] = []
    const file = claudeDesktopFile({ ...WINDOWS, env: { LOCALAPPDATA: 'D:\\Local' } }, (path) => {
      folders.push(path)
      return ['Other_1', 'Claude_pzs8sxrjxfjjc']
    })
    expect(folders).toEqual(['D:\\Local\\Packages'])
    expect(file).toBe(
      'D:\\Local\\Packages\\Claude_pzs8sxrjxfjjc\\LocalCache\\Roaming\\Claude\\claude_desktop_config.json',
    )
  })
})

describe('findHost', () => {
  it.each([
    { typed: 'cursr', hint: 'Did you mean cursor?' },
    { typed: 'claude_code', hint: 'Did you mean claude-code?' },
    { typed: 'VSCODE', hint: 'Did you mean vscode?' },
    { typed: 'emacs-with-mcp', hint: `Name one of ${HOST_IDS.join(', ')}.` },
    { typed: '__proto__', hint: `Name one of ${HOST_IDS.join(', ')}.` },
  ])('says what is meant by $typed', ({ typed, hint }) => {
    expect(() => findHost(typed)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: `Unknown host "${typed}"`, hint }),
    )
    expect(() => findHost(typed)).toThrow(ProxyError)
  })
})
