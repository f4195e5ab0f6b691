import type { LoadedConfig } from '../../config/load.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import { type Changes, compareConfigs, keepFixed } from './changes.js'
import type { ReloadCount } from './reload-metrics.js'
import { watchFiles } from './watch-files.js'

export interface ReloaderOptions {
  clock: Pick<Clock, 'now' | 'after'>
  logger: Logger
  /** The configuration in force at the start. */
  loaded: LoadedConfig
  /**
   * Reads the configuration anew, as at the start.
   *
   * @throws {ProxyError} When it is not valid.
   */
  load: () => LoadedConfig
  /**
   * Puts another configuration in force everywhere, or nowhere.
   *
   * @throws {ProxyError} When it cannot be.
   */
  apply: (next: LoadedConfig, changes: Changes) => Promise<void>
  count?: ReloadCount | undefined
}

export interface Reloader {
  /** Asks for a reload. What is requested while one runs leads to one more. */
  request(why: string): void
  stop(): void
}

/** Reads the configuration again on request, or when one of its files changes. */
export function createReloader(options: ReloaderOptions): Reloader {
  const { clock, logger, load, apply, count } = options
  let current = options.loaded
  /** Also those of a configuration that was refused: it may become right. */
  let files = current.files
  let running = false
  let asked: string | undefined

  function request(why: string): void {
    asked = why
    if (!running) void run()
  }

  async function run(): Promise<void> {
    running = true
    while (asked !== undefined) {
      const why = asked
      asked = undefined
      try {
        await reload(why)
        count?.('success', clock.now())
      } catch (error) {
        count?.('refused', clock.now())
        tellRefused(logger, error)
      }
    }
    running = false
  }

  async function reload(why: string): Promise<void> {
    await watch.settle()
    const next = read()
    const changes = compareConfigs(current, next)
    const kept = keepFixed(current, next)
    if (changes.changed.length > 0) await apply(kept, changes)
    const known = new Set(current.warnings)
    for (const warning of next.warnings) if (!known.has(warning)) logger.warn('config', warning)
    current = kept
    files = kept.files
    tellDone(logger, changes, why)
  }

  function read(): LoadedConfig {
    try {
      const next = load()
      files = [...current.files, ...next.files]
      if (current.file !== undefined && next.file !== current.file) throw fileGone(current, next)
      return next
    } catch (error) {
      if (error instanceof Error && 'files' in error && Array.isArray(error.files)) {
        files = [...current.files, ...error.files]
      }
      throw error
    }
  }

  const watched = () => (current.config.server.watch ? files : [])
  const watch = watchFiles(clock, watched, () => request('a file changed'))
  return { request, stop: watch.stop }
}

/** Without its file, a configuration would be another one altogether. */
function fileGone({ file }: LoadedConfig, next: LoadedConfig): ProxyError {
  const instead = next.file === undefined ? '' : `; ${next.file} would be read in its place`
  return new ProxyError('CONFIG_INVALID', `The configuration file ${file} is gone${instead}`, {
    hint: 'Put it back; to run without it, start again.',
  })
}

function tellRefused(logger: Logger, error: unknown): void {
  const hint = error instanceof ProxyError && error.hint !== undefined ? ` ${error.hint}` : ''
  const problems =
    error instanceof Error && 'problems' in error
      ? (error.problems as readonly string[])
      : undefined
  const text = `The configuration was not reloaded, and the one in force stays: ${messageOf(error)}${hint}`
  logger.error('config_refused', oneLine(text), { problems })
}

const oneLine = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join(' · ')

function tellDone(logger: Logger, { changed, kept }: Changes, why: string): void {
  const what = changed.length === 0 ? 'nothing has changed' : `changed: ${changed.join(', ')}`
  logger.info('config_reloaded', `The configuration was read again (${why}); ${what}`, {
    changed,
    why,
  })
  if (kept.length === 0) return
  const verb =
    kept.length === 1
      ? 'cannot change while the server runs and stays as it was'
      : 'cannot change while the server runs and stay as they were'
  logger.warn('config_kept', `${kept.join(', ')} ${verb}: start it again`, { kept })
}
