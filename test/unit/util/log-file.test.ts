import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openLogFile } from '../../../src/util/log-file.js'

describe('openLogFile', () => {
  it('[bridge-quiet-log] keeps five files of limited size that only their owner can read', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'log-')), 'logs', 'b.log')
    const write = openLogFile(path, 20)
    for (let line = 0; line < 20; line++) write(`line number ${line}\n`)
    const folder = join(path, '..')
    expect(readdirSync(folder).sort()).toEqual([
      'b.log',
      'b.log.1',
      'b.log.2',
      'b.log.3',
      'b.log.4',
    ])
    expect(readFileSync(path, 'utf8')).toBe('line number 19\n')
    expect(readFileSync(`${path}.4`, 'utf8')).toBe('line number 15\n')
    for (const name of readdirSync(folder)) {
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    }
  })

  it('says why a file cannot be opened', () => {
    expect(() => openLogFile('/dev/null/b.log')).toThrow(
      'Cannot write the log file /dev/null/b.log',
    )
  })
})
