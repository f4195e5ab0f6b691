import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readHostFile, writeHostFile } from '../../../src/hosts/host-file.js'
import { createFolder } from '../../helpers/folder.js'

const modeOf = (path: string) => statSync(path).mode & 0o777

describe('the file of a host', () => {
  it('is created with its folders, and has no backup', async () => {
    const path = join(createFolder(), 'a b', 'c', 'mcp.json')
    const file = await readHostFile(path, 0o600)
    expect(file).toMatchObject({ path, text: undefined })
    expect(await writeHostFile(file, '{}\n')).toBeUndefined()
    expect(readFileSync(path, 'utf8')).toBe('{}\n')
    expect(modeOf(path)).toBe(0o600)
    expect(readdirSync(join(path, '..'))).toEqual(['mcp.json'])
  })

  it.each([0o600, 0o640, 0o644, 0o666])(
    'keeps its mode %o, and so does the backup',
    async (mode) => {
      const path = join(createFolder({ 'mcp.json': 'old' }), 'mcp.json')
      chmodSync(path, mode)
      const backup = await writeHostFile(await readHostFile(path, 0o600), 'new')
      expect(backup).toBe(`${path}.bak`)
      expect(readFileSync(path, 'utf8')).toBe('new')
      expect(readFileSync(`${path}.bak`, 'utf8')).toBe('old')
      expect([modeOf(path), modeOf(`${path}.bak`)]).toEqual([mode, mode])
      expect(readdirSync(join(path, '..')).sort()).toEqual(['mcp.json', 'mcp.json.bak'])
    },
  )

  it('stays a link', async () => {
    const folder = createFolder({ 'dotfiles/mcp.json': 'old' })
    const path = join(folder, 'mcp.json')
    symlinkSync(join(folder, 'dotfiles/mcp.json'), path)
    expect(await writeHostFile(await readHostFile(path, 0o600), 'new')).toBe(
      join(folder, 'dotfiles/mcp.json.bak'),
    )
    expect(lstatSync(path).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(folder, 'dotfiles/mcp.json'), 'utf8')).toBe('new')
  })

  it('is not written over what another program just wrote', async () => {
    const path = join(createFolder({ 'mcp.json': 'old' }), 'mcp.json')
    const file = await readHostFile(path, 0o600)
    writeFileSync(path, 'theirs')
    await expect(writeHostFile(file, 'new')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `${path} was changed by another program just now`,
    })
    expect(readFileSync(path, 'utf8')).toBe('theirs')
  })

  it.each([
    {
      what: 'is not UTF-8',
      make: (path: string) => writeFileSync(path, Buffer.from([0x7b, 0xff, 0x7d])),
      says: 'is not edited: it is not UTF-8',
    },
    { what: 'is a folder', make: (path: string) => mkdirSync(path), says: 'Cannot read' },
    {
      what: 'is a link to nowhere',
      make: (path: string) => symlinkSync('/nowhere/at/all', path),
      says: 'is a link to a file that does not exist',
    },
  ])('is refused when it $what', async ({ make, says }) => {
    const path = join(createFolder(), 'mcp.json')
    make(path)
    await expect(readHostFile(path, 0o600)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(says),
    })
  })

  it('cannot be where its folder is a file', async () => {
    const path = join(createFolder({ '.cursor': 'x' }), '.cursor', 'mcp.json')
    await expect(readHostFile(path, 0o600)).rejects.toMatchObject({
      message: `Cannot read ${path} (ENOTDIR)`,
      hint: expect.stringContaining('without `--write`'),
    })
  })
})
