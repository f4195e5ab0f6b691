import { ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { EntryTransport } from './host.js'

/** Characters with a special meaning in cmd.exe, which parses the line again before npx sees it. */
const SPECIAL_TO_CMD = /[&|<>^%!"\s]/

/** This package pinned to its major version, because flags may differ in another one. */
export const pinnedProduct = (): string => `${PRODUCT}@${VERSION.split('.')[0]}`

/**
 * Returns the command that starts the bridge for a target.
 *
 * @param absolute Whether to use the paths of this Node and this copy of the program.
 * @throws {ProxyError} `USAGE` when cmd.exe, which starts npx on Windows, would change the argument.
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
    throw new ProxyError('USAGE', 'The URL contains characters with a special meaning in cmd.exe', {
      hint: 'Add `--absolute`, which starts the program without cmd.exe.',
    })
  }
  return { kind: 'stdio', command: 'cmd', args: ['/c', ...npx] }
}

/** Tells whether this copy of the program is in npx's cache, which may be emptied. */
export function isTemporary(script: string): boolean {
  return /[\\/]_npx[\\/]/.test(script)
}

/** Quotes arguments for a shell: sh, or cmd.exe on Windows. */
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
 * Quotes for the C runtime of the started program, in which backslashes before a quote are doubled.
 *
 * @see [Parsing C command-line arguments](https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments)
 */
function quoteForCmd(text: string): string {
  if (/^[\w@+=:,./\\-]+$/.test(text)) return text
  return `"${text.replace(/(?<!\\)(\\*)"/g, '$1$1\\"').replace(/(?<!\\)(\\+)$/, '$1$1')}"`
}
