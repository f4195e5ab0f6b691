import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { BIN, startCli } from '../helpers/cli.js'

const UNIT = fileURLToPath(
  new URL('../../deploy/systemd/mcp-descope-proxy.service', import.meta.url),
)
const unit = readFileSync(UNIT, 'utf8')

/** The values of a key, in their order. */
const valuesOf = (key: string) =>
  [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)

const [command = ''] = valuesOf('ExecStart')

function hasSystemd(): boolean {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('the systemd unit', () => {
  it('starts the program with arguments that it takes, and SIGTERM ends it well', async () => {
    const [node, script, ...args] = command.split(' ')
    expect([node, script]).toEqual([
      '/usr/bin/node',
      expect.stringMatching(/node_modules\/mcp-descope-proxy\/bin\/mcp-descope-proxy\.js$/),
    ])
    const environment = Object.fromEntries(
      valuesOf('Environment').flatMap((line) => line.split(' ').map((pair) => pair.split('='))),
    )
    const cli = startCli([...args, '--insecure-no-auth', '--target', 'http://127.0.0.1:9/mcp'], {
      env: { ...environment, PORT: '0' },
    })
    await cli.waitFor('stderr', /"event":"listening"/)
    cli.child.kill('SIGTERM')
    expect((await cli.ended).status).toBe(0)
  })

  it('waits longer for its end than the program takes', () => {
    expect(Number(valuesOf('TimeoutStopSec')[0])).toBeGreaterThan(25)
  })

  it.skipIf(!hasSystemd())('is one that systemd-analyze takes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'unit-'))
    try {
      // the paths of this machine, since systemd looks whether they are there
      const here = unit.replace(/^ExecStart=\S+ \S+/m, `ExecStart=${process.execPath} ${BIN}`)
      writeFileSync(join(folder, 'mcp-descope-proxy.service'), here)
      const run = ['verify', '--man=no', join(folder, 'mcp-descope-proxy.service')]
      expect(execFileSync('systemd-analyze', run, { encoding: 'utf8' })).toBe('')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
