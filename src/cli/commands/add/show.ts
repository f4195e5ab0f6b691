import type { Offer } from '../../../hosts/offer.js'
import type { Runtime } from '../../../util/runtime.js'
import { createColors } from '../../colors.js'
import type { AddPlan } from './plan.js'

/** What became of the host's file. */
interface Change {
  readonly written: boolean
  readonly changed: boolean
  readonly backup: string | undefined
  readonly diff: string
}

/**
 * Says for a person what belongs where, and what else does the same. stdout gets what belongs into
 * the file and nothing else, so that it can be piped.
 */
export function sayOffer(
  runtime: Pick<Runtime, 'io' | 'env' | 'platform'>,
  { host, path }: AddPlan,
  { snippet, command, link }: Offer,
): void {
  const { io, platform } = runtime
  const { bold } = createColors(runtime, 'err')
  const shell = platform === 'win32' ? ' in cmd.exe' : ''
  io.out(snippet)
  io.err(`\n${bold(`This belongs into ${path}, for ${host.title}.`)}\n`)
  if (command !== undefined) io.err(`\n${bold(`Or run${shell}`)}\n\n${command}\n`)
  if (link !== undefined) io.err(`\n${bold('Or open')}\n\n${link}\n`)
  io.err('\nNothing was written: `--write` puts it there, `--dry-run` shows what would change.\n')
}

/** Writes for a script what belongs where, and what became of it. */
export function reportOf(
  { host, name, path, notes }: AddPlan,
  { snippet, document, command, link }: Offer,
  change?: Change,
): string {
  const report = {
    host: host.id,
    name,
    file: path,
    format: host.format,
    snippet: document ?? snippet,
    ...(command !== undefined && { command }),
    ...(link !== undefined && { link }),
    notes,
    written: false,
    ...change,
  }
  return `${JSON.stringify(report)}\n`
}
