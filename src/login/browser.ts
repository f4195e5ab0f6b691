import type { Runtime } from '../util/runtime.js'

type Where = Pick<Runtime, 'env' | 'platform' | 'system'>

/**
 * Opens a URL in the user's browser: `$BROWSER` when set, else the platform's opener. Arguments go
 * as a list and never through a shell.
 *
 * @returns Whether something could be started. That it shows the page cannot be known.
 */
export async function openBrowser(where: Where, url: string, isWsl: boolean): Promise<boolean> {
  if (!isOpenable(url)) return false
  for (const [command, ...args] of openers(where, url, isWsl)) {
    if (await where.system.launch(command, args)) return true
  }
  return false
}

/** Only web pages, and nothing that a program could take for an option or a control sequence. */
export function isOpenable(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, username, password } = new URL(url)
  const isWeb = protocol === 'https:' || protocol === 'http:'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return isWeb && username === '' && password === '' && !/[\u0000-\u0020\u007f]/.test(url)
}

type Opener = [command: string, ...args: string[]]

function openers({ env, platform }: Where, url: string, isWsl: boolean): Opener[] {
  const own = env['BROWSER']
  if (own) return [[own, url]]
  if (platform === 'darwin') return [['/usr/bin/open', url]]
  if (platform === 'win32') return [['rundll32', 'url.dll,FileProtocolHandler', url]]
  const linux: Opener = ['xdg-open', url]
  return isWsl ? [['wslview', url], powershell(url), linux] : [linux]
}

/** The command goes encoded, so that nothing in the URL can be read as PowerShell. */
function powershell(url: string): Opener {
  const command = `Start-Process '${url.replaceAll("'", "''")}'`
  const encoded = Buffer.from(command, 'utf16le').toString('base64')
  return ['powershell.exe', '-NoProfile', '-NonInteractive', '-EncodedCommand', encoded]
}
