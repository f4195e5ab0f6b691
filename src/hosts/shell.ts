import type { Runtime } from '../util/runtime.js'

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
