import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Workplace } from '../candidates.js'
import { type Piped, startPiped } from '../process.js'

/** Programs that look at an MCP server once, and `nothing`: Node that only starts and ends. */
export const PROGRAMS = ['nothing', 'inspector', 'test-target'] as const
export type ProgramName = (typeof PROGRAMS)[number]

const PACKAGE = '@modelcontextprotocol/inspector'
const VERSION = '2.12.0'

export const PROGRAM_TITLES: Record<ProgramName, string> = {
  nothing: 'node -e 0',
  inspector: `inspector ${VERSION} --cli, tools/list`,
  'test-target': 'test-target, all checks',
}

/** What is looked at, and with what. */
export interface CheckedPlace extends Workplace {
  targetUrl: string
  /** The script of the inspector; `undefined` where it cannot be had. */
  inspector: string | undefined
}

/**
 * Finds the inspector in a folder that outlives the run, or installs it there: it is too large for
 * everybody who works on this package to have it.
 *
 * @returns Its script, or why there is none.
 */
export async function findInspector({
  folder,
}: Workplace): Promise<{ script: string } | { problem: string }> {
  const place = join(folder, '..', `bench-inspector-${VERSION}`)
  const home = join(place, 'node_modules', PACKAGE)
  try {
    if (!existsSync(join(home, 'package.json'))) {
      const install = ['install', '--no-audit', '--no-fund', '--prefix', place]
      await promisify(execFile)('npm', [...install, `${PACKAGE}@${VERSION}`])
    }
    const { bin } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
    return { script: join(home, Object.values<string>(bin)[0]!) }
  } catch (error) {
    return { problem: (error as Error).message.split('\n')[0]! }
  }
}

export function startProgram(place: CheckedPlace, name: ProgramName): Piped {
  const { folder, bin, targetUrl, targetToken, inspector } = place
  const start = (script: string[], env: Record<string, string> = {}) =>
    startPiped(folder, { role: 'subject', script, env })
  switch (name) {
    case 'nothing':
      return start(['-e', '0'])
    case 'inspector': {
      const what = ['--transport', 'http', '--method', 'tools/list']
      const header = ['--header', `Authorization: Bearer ${targetToken}`]
      return start([inspector!, '--cli', targetUrl, ...what, ...header])
    }
    case 'test-target':
      return start([bin, 'test-target', targetUrl], { TARGET_TOKEN: targetToken })
  }
}
