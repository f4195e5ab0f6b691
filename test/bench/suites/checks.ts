import { text } from 'node:stream/consumers'
import { startTarget, type Workplace } from '../candidates.js'
import {
  type CheckedPlace,
  findInspector,
  PROGRAMS,
  type ProgramName,
  startProgram,
} from '../checks/programs.js'
import { inOrderOf } from '../measure.js'
import type { Plan } from '../plan.js'
import { joinLoad, type Started } from '../process.js'

export interface CheckResults {
  /** From spawning to the end, milliseconds, one for each round. */
  times: Map<ProgramName, number[]>
  /** Why something was left out. */
  problem: string | undefined
}

/** How long it takes to look at a healthy server once. */
export async function measureChecks(
  work: Workplace,
  { rounds }: Plan,
  progress: (text: string) => void,
): Promise<CheckResults> {
  joinLoad()
  progress('checks, looking for the inspector')
  const found = await findInspector(work)
  const [inspector, problem] =
    'script' in found ? [found.script, undefined] : [undefined, found.problem]
  const names = PROGRAMS.filter((name) => name !== 'inspector' || inspector !== undefined)
  const target = await startTarget(work, 'other')
  const targetUrl = `http://127.0.0.1:${await target.remote.ready}/mcp`
  const place = { ...work, targetUrl, inspector }
  const times = new Map(names.map((name) => [name, [] as number[]]))
  // the first round only fills the caches of the file system
  for (let round = -1; round < rounds.checks; round += 1) {
    progress(`checks, ${round + 1}/${rounds.checks}`)
    for (const name of inOrderOf([...names], round)) {
      const ms = await measureRun(place, name, target)
      if (round >= 0) times.get(name)?.push(ms)
    }
  }
  await target.stop()
  return { times, problem }
}

/** The target counts too: a program that did not ask it would be fast. */
async function measureRun(place: CheckedPlace, name: ProgramName, target: Started) {
  const listed = async () => (await target.remote.call<{ lists: number }>('counts')).lists
  const before = await listed()
  const start = performance.now()
  const program = startProgram(place, name)
  program.stdin.end()
  const output = text(program.stdout)
  const status = await program.exited
  const ms = performance.now() - start
  const asked = (await listed()) - before
  if (status === 0 && asked === (name === 'nothing' ? 0 : 1)) return ms
  const said = `${await output}${program.log()}`
  throw new Error(`${name} ended with ${status} and listed ${asked} times:\n${said}`)
}
