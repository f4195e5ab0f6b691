import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Identity } from '../../src/demo/identity/index.js'
import { startCli } from './cli.js'
import type { Stack } from './stack.js'
import { eventually } from './targets/eventually.js'

export type Record_ = Record<string, unknown> & { event: string; message: string }

/** A `serve` process whose configuration file a test changes. */
export interface Reloading extends Pick<Stack, 'url' | 'token'> {
  readonly folder: string
  readonly file: string
  readonly origin: string
  readonly pid: number
  records(event?: string): Record_[]
  stderr(): string
  /** Replaces the file by another one, as a whole. */
  write(config: object | string): void
  hangUp(): void
  /** Writes, sends SIGHUP, and resolves with the record of the reload. */
  reload(config: object | string): Promise<Record_>
  /** Resolves with the next record of a reload that something else starts. */
  reloaded(start: () => unknown): Promise<Record_>
  close(): Promise<void>
}

const DONE = ['config_reloaded', 'config_refused']

export interface ReloadingOptions {
  config: object | string
  identity: Identity
  /** Name of the file in its folder. */
  name?: string
  flags?: readonly string[]
  env?: Record<string, string>
  timeoutMs?: number
}

export async function startReloading(options: ReloadingOptions): Promise<Reloading> {
  const { config, identity, name = 'config.json', flags = [], env = {} } = options
  const folder = mkdtempSync(join(tmpdir(), 'reload-'))
  const file = join(folder, name)
  const text = (given: object | string) =>
    typeof given === 'string' ? given : JSON.stringify(given, null, 2)
  const write = (given: object | string) => {
    writeFileSync(`${file}.new`, text(given))
    renameSync(`${file}.new`, file)
  }
  write(config)
  const fixed = ['--config', file, '--port', '0', '--log-format', 'json']
  const cli = startCli(['serve', ...fixed, ...flags], {
    cwd: folder,
    env,
    timeoutMs: options.timeoutMs ?? 60_000,
  })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const records = (event?: string) =>
    cli
      .stderr()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record_)
      .filter((record) => event === undefined || record.event === event)
  const outcomes = () => records().filter(({ event }) => DONE.includes(event))
  const reloaded = async (start: () => unknown) => {
    const before = outcomes().length
    await start()
    return eventually(() => {
      const found = outcomes()[before]
      if (found === undefined) throw new Error('not reloaded yet')
      return found
    })
  }
  const hangUp = () => void cli.child.kill('SIGHUP')
  const { port } = new URL(url)
  const resource = `http://localhost:${port}/mcp`
  return {
    folder,
    file,
    url,
    origin: new URL(url).origin,
    pid: cli.child.pid as number,
    records,
    stderr: cli.stderr,
    write,
    hangUp,
    token: (claims = {}) => identity.mint({ aud: [resource], ...claims }),
    reloaded,
    reload: (next) =>
      reloaded(() => {
        write(next)
        hangUp()
      }),
    async close() {
      cli.child.kill('SIGTERM')
      await cli.ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
