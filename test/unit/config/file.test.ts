import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findFile, PROJECT_PLACES, shorten } from '../../../src/config/file.js'
import { configFolder, dataFolder } from '../../../src/config/sources.js'
import { createFolder } from '../../helpers/folder.js'

const where = (cwd: string, env: Record<string, string> = {}) =>
  ({ cwd, env, homeDir: join(cwd, 'home'), platform: 'linux' }) as const

describe('findFile', () => {
  it.each(PROJECT_PLACES)('finds %s', (place) => {
    const own = { log: { level: 'debug' } }
    const content = place === 'package.json' ? { name: 'x', 'mcp-descope-proxy': own } : own
    const { file, problems } = findFile(where(createFolder({ [place]: content })), undefined, true)
    expect(file?.content).toEqual(own)
    expect(problems).toEqual([])
  })

  it.each(['config.json', 'config.yaml', 'config.yml'])("finds the user's own %s", (name) => {
    const cwd = createFolder({ [`home/.config/mcp-descope-proxy/${name}`]: '{"log": {}}' })
    expect(findFile(where(cwd), undefined, true).file?.shown).toBe(
      `./home/.config/mcp-descope-proxy/${name}`,
    )
  })

  it('takes the first place and says what it leaves out', () => {
    const cwd = createFolder({ '.mcp-descope-proxyrc': {}, 'mcp-descope-proxy.config.yaml': '' })
    const { file, warnings } = findFile(where(cwd), undefined, true)
    expect(file?.shown).toBe('./.mcp-descope-proxyrc')
    expect(warnings).toEqual([
      './mcp-descope-proxy.config.yaml is not read, because ./.mcp-descope-proxyrc comes first — delete one of them',
    ])
  })

  it('passes over a package.json of something else, even a broken one', () => {
    const cwd = createFolder({ 'package.json': '{ broken' })
    expect(findFile(where(cwd), undefined, true)).toEqual({
      file: undefined,
      problems: [],
      warnings: [],
    })
    const itself = createFolder({ 'package.json': { name: 'mcp-descope-proxy' } })
    expect(findFile(where(itself), undefined, true).file).toBeUndefined()
  })

  it('looks at a named file only', () => {
    const cwd = createFolder({ 'x.yaml': 'log: {}', '.mcp-descope-proxyrc': {} })
    const { file } = findFile(where(cwd), { path: 'x.yaml', from: 'flag --config' }, true)
    expect(file?.shown).toBe('./x.yaml')
  })

  it('does not look into the working directory when it must not', () => {
    const cwd = createFolder({ '.mcp-descope-proxyrc': {} })
    expect(findFile(where(cwd), undefined, false).file).toBeUndefined()
  })
})

describe('shorten', () => {
  it.each([
    ['/home/me/project/x.json', './x.json'],
    ['/home/me/.config/x.json', '~/.config/x.json'],
    ['/etc/x.json', '/etc/x.json'],
  ])('writes %s as %s', (path, shown) => {
    expect(shorten({ cwd: '/home/me/project', homeDir: '/home/me' }, path)).toBe(shown)
  })
})

describe('the folders', () => {
  const linux = { homeDir: '/home/me', platform: 'linux' } as const
  const windows = { homeDir: 'C:\\Users\\me', platform: 'win32' } as const

  it.each([
    [
      { ...linux, env: {} },
      '/home/me/.config/mcp-descope-proxy',
      '/home/me/.local/share/mcp-descope-proxy',
    ],
    [
      { ...linux, env: { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' } },
      '/c/mcp-descope-proxy',
      '/d/mcp-descope-proxy',
    ],
    [
      { ...linux, env: { XDG_CONFIG_HOME: 'relative' } },
      '/home/me/.config/mcp-descope-proxy',
      '/home/me/.local/share/mcp-descope-proxy',
    ],
    [{ ...linux, env: { MCP_DESCOPE_HOME: '/h' } }, '/h', '/h'],
    [
      { ...windows, env: { APPDATA: 'D:\\R', LOCALAPPDATA: 'D:\\L' } },
      'D:\\R\\mcp-descope-proxy',
      'D:\\L\\mcp-descope-proxy',
    ],
    [
      { ...windows, env: {} },
      'C:\\Users\\me\\AppData\\Roaming\\mcp-descope-proxy',
      'C:\\Users\\me\\AppData\\Local\\mcp-descope-proxy',
    ],
  ])('of %j are %s and %s', (given, config, data) => {
    expect(configFolder(given)).toBe(config)
    expect(dataFolder(given)).toBe(data)
  })
})
