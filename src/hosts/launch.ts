import { ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { EntryTransport } from './host.js'

/** What cmd.exe would take for its own: it reads the line again before npx sees it. */
const SPECIAL_TO_CMD = /[&|<>^%!"\s]/

/** This program as npm knows it, pinned to its major version: another one may want other flags. */
export const pinnedProduct = (): string => `${PRODUCT}@${VERSION.split('.')[0]}`

/**
 * Says how the bridge is started for a target.
 *
 * @param absolute Names this Node and this copy of the program, so that nothing is looked up.
 * @throws {ProxyError} `USAGE` when cmd.exe, which starts npx on Windows, would break the argument.
 */
export function launchOf(
  { platform, program }: Pick<Runtime, 'platform' | 'program'>,
  target: string,
  { absolute }: { absolute: boolean },
): Extract<EntryTransport, { kind: 'stdio' }> {
  if (absolute) {
    return { kind: 'stdio', command: program.node, args: [program.script, 'stdio', target] }
  }
  const npx = ['npx', '-y', pinnedProduct(), 'stdio', target] as const
  const [command, ...args] = npx
  if (platform !== 'win32') return { kind: 'stdio', command, args }
  if (SPECIAL_TO_CMD.test(target)) {
    throw new ProxyError('USAGE', 'The URL holds characters that cmd.exe takes for its own', {
      hint: 'Add `--absolute`, which starts the program without cmd.exe.',
    })
  }
  return { kind: 'stdio', command: 'cmd', args: ['/c', ...npx] }
}

/** Tells whether this copy of the program is one that npx keeps for a while. */
export function isTemporary(script: string): boolean {
  return /[\\/]_npx[\\/]/.test(script)
}

/** Writes arguments so that a shell takes each one as it is: sh, or cmd.exe on Windows. */
export function shellLine(
  { platform }: Pick<Runtime, 'platform'>,
  args: readonly string[],
): string {
  return args.map(platform === 'win32' ? quoteForCmd : quoteForSh).join(' ')
}

function quoteForSh(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/**
 * Quotes for the programs' own reading of the line, which wants backslashes before a quote doubled.
 *
 * @see [Parsing C command-line arguments](https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments)
 */
function quoteForCmd(text: string): string {
  if (/^[\w@+=:,./\\-]+$/.test(text)) return text
  return `"${text.replace(/(?<!\\)(\\*)"/g, '$1$1\\"').replace(/(?<!\\)(\\+)$/, '$1$1')}"`
}
