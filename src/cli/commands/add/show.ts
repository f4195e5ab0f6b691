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

/** Renders for a person what belongs where, and what else does the same. */
export function renderOffer(
  runtime: Pick<Runtime, 'io' | 'env' | 'platform'>,
  { host, path }: AddPlan,
  { snippet, command, link }: Offer,
): string {
  const colors = createColors(runtime, 'out')
  const heading = (text: string) => `${colors.bold(text)}\n\n`
  const shell = runtime.platform === 'win32' ? ' in cmd.exe' : ''
  let text = `${heading(`For ${host.title}, put this into ${path}`)}${snippet}`
  if (command !== undefined) text += `\n${heading(`Or run${shell}`)}${command}\n`
  if (link !== undefined) text += `\n${heading('Or open')}${link}\n`
  return text
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
