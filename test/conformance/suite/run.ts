import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { JsonObject } from '../../../src/util/json.js'
import { installTool } from '../../helpers/tools.js'

export type Revision = '2025-11-25' | '2026-07-28'

/** What one run of the suite found. */
export interface Outcome {
  /** 0 when nothing that the revision requires failed. */
  readonly status: number
  readonly output: string
  /** By scenario: each check that was decided, as `id status`, in a stable order. */
  readonly scenarios: ReadonlyMap<string, readonly string[]>
  /** Scenarios that the revision requires. */
  readonly scored: readonly string[]
  readonly passed: number
  /** Ids of the checks that failed or warned, by scenario. */
  readonly problems: Readonly<Record<string, readonly string[]>>
  /** What those checks said. */
  readonly messages: readonly string[]
}

const NODE_20 = new URL('node-20.mjs', import.meta.url).href
const SUITE = '@modelcontextprotocol/conformance'
const IN_CI = process.env['CI'] !== undefined && process.env['CI'] !== 'false'

/**
 * Path of the suite's program; `undefined` when npm cannot give it. In CI that is an error: there the
 * suite is never left out.
 */
export async function installSuite(): Promise<string | undefined> {
  const modules = await installTool(SUITE)
  if (modules === undefined && IN_CI) throw new Error('The conformance suite must run in CI')
  return modules && join(modules, SUITE, 'dist', 'index.js')
}

/** Runs all scenarios of a revision, those that it does not score too. */
export async function runSuite(
  program: string,
  mode: 'server' | 'client',
  revision: Revision,
  args: readonly string[],
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
  try {
    const given = [mode, '--requirements', revision, '-o', folder, ...args]
    const { status, output } = await runProgram(program, given)
    return {
      status,
      output,
      scored: scoredOf(program, mode, revision),
      ...readChecks(folder, mode),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function runProgram(program: string, args: readonly string[]) {
  const all = ['--import', NODE_20, program, ...args]
  return new Promise<{ status: number; output: string }>((resolve) => {
    execFile(process.execPath, all, { maxBuffer: 2 ** 27 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ status, output: stdout + stderr })
    })
  })
}

/** The list of a revision is YAML of one kind: `server:` or `client:`, then `  - name` lines. */
function scoredOf(program: string, mode: string, revision: Revision): string[] {
  const file = join(dirname(program), '..', 'requirements', `${revision}.yaml`)
  const [, list = ''] =
    new RegExp(`^${mode}:\\n((?: {2}- .*\\n)+)`, 'm').exec(readFileSync(file, 'utf8')) ?? []
  return list.split('\n').flatMap((line) => (line === '' ? [] : [line.slice(4)]))
}

function readChecks(folder: string, mode: string) {
  const scenarios = new Map<string, string[]>()
  const problems: Record<string, string[]> = {}
  const messages: string[] = []
  let passed = 0
  for (const path of (readdirSync(folder, { recursive: true }) as string[]).sort()) {
    if (!path.endsWith('checks.json')) continue
    const name = dirname(path)
      .replaceAll('\\', '/')
      .replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
      .slice(mode === 'server' ? 'server-'.length : 0)
    const checks: JsonObject[] = JSON.parse(readFileSync(join(folder, path), 'utf8'))
    const decided = checks.filter(({ status }) => status !== 'INFO')
    scenarios.set(name, decided.map(({ id, status }) => `${id} ${status}`).sort())
    passed += decided.filter(({ status }) => status === 'SUCCESS').length
    for (const { id, status, errorMessage } of decided) {
      if (status !== 'FAILURE' && status !== 'WARNING') continue
      problems[name] = [...(problems[name] ?? []), String(id)].sort()
      messages.push(`${name}:${id} ${status}: ${errorMessage ?? ''}`)
    }
  }
  return { scenarios, problems, messages, passed }
}
