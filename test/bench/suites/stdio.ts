import { startCandidate, startTarget, type Workplace } from '../candidates.js'
import type { CallsReport } from '../load/calls.js'
import { inOrderOf } from '../measure.js'
import type { Plan } from '../plan.js'
import { cpuMs, joinLoad, type Piped, type Started, settledKb } from '../process.js'
import {
  BRIDGES,
  type BridgeName,
  type BridgePlace,
  prepareBridges,
  startBridge,
  type WorkingBridge,
} from '../stdio/bridges.js'
import { createHost, type Host } from '../stdio/host.js'
import { type Turn, type TurnOrder, takeTurn } from '../stdio/turn.js'

export interface StartMeasurement {
  /** From spawning to the answer to `initialize`; for what answers nothing, to its end. */
  ms: number
  /** Resident memory once started, kilobytes. */
  residentKb?: number | undefined
}

export interface TurnMeasurement extends Turn {
  /** CPU time of the bridge, milliseconds. */
  cpuMs?: number | undefined
}

export interface StdioResults {
  starts: Map<BridgeName, StartMeasurement[]>
  /** By case; `direct` is without a bridge: the load speaks to a target on the other core. */
  turns: Map<StdioCase, Map<WorkingBridge | 'direct', TurnMeasurement[]>>
}

const KB = 1024
const CASES = {
  one: { size: KB, stream: false, inFlight: 1 },
  many: { size: KB, stream: false, inFlight: 64 },
  stream: { size: KB, stream: true, inFlight: 64 },
  large: { size: KB * KB, stream: false, inFlight: 1 },
}
export type StdioCase = keyof typeof CASES

const WORKING = BRIDGES.filter((name) => name !== 'nothing')
const WARM_UP_ANSWERS = 6000

/** Bridges: first their starts, then calls through bridges that stay up. */
export async function measureStdio(
  work: Workplace,
  plan: Plan,
  loader: Started,
  progress: (text: string) => void,
): Promise<StdioResults> {
  joinLoad()
  const targetToken = await work.issuer.mint('http://127.0.0.1/mcp')
  const target = await startTarget({ ...work, targetToken }, 'other')
  const targetUrl = `http://127.0.0.1:${await target.remote.ready}/mcp`
  const place = { ...work, targetToken, targetUrl }
  await prepareBridges(place)
  const starts = await measureStarts(place, plan, target, progress)
  const { endpoint, stop } = await startCandidate(place, 'direct', target)
  const direct = async ({ inFlight: connections, durationMs, size, stream }: TurnOrder) => {
    const work = { method: 'tools/call', size, stream }
    const order = { endpoint, work, connections, durationMs, sessions: [] }
    return loader.remote.call<CallsReport>('runCalls', order)
  }
  const turns = await measureTurns(place, plan, { target, direct, progress })
  await stop()
  await target.stop()
  return { starts, turns }
}

async function measureStarts(
  place: BridgePlace,
  { rounds }: Plan,
  target: Started,
  progress: (text: string) => void,
): Promise<StdioResults['starts']> {
  const results: StdioResults['starts'] = new Map(BRIDGES.map((name) => [name, []]))
  // the first round only fills the caches of the file system
  for (let round = -1; round < rounds.stdioStarts; round += 1) {
    progress(`stdio, start ${round + 1}/${rounds.stdioStarts}`)
    for (const name of inOrderOf([...BRIDGES], round)) {
      const measured = await measureStart(place, name, target, round < rounds.stdioMemory)
      if (round >= 0) results.get(name)?.push(measured)
    }
  }
  return results
}

async function measureStart(
  place: BridgePlace,
  name: BridgeName,
  target: Started,
  withMemory: boolean,
): Promise<StartMeasurement> {
  const before = await initializesAt(target)
  const start = performance.now()
  const bridge = startBridge(place, name)
  if (name === 'nothing') {
    await bridge.exited
    return { ms: performance.now() - start }
  }
  const host = createHost(bridge)
  await host.initialize().catch(explain(name))
  const ms = performance.now() - start
  host.initialized()
  const residentKb = withMemory ? await settledKb(bridge.pid) : undefined
  await bridge.kill()
  if ((await initializesAt(target)) === before) {
    throw new Error(`${name} answered initialize, but it did not come to the target`)
  }
  return { ms, residentKb }
}

async function initializesAt({ remote }: Started): Promise<number> {
  return (await remote.call<{ initializes: number }>('counts')).initializes
}

interface TurnsDeps {
  target: Started
  direct(order: TurnOrder): Promise<Turn>
  progress(text: string): void
}

async function measureTurns(
  place: BridgePlace,
  { rounds, turnMs, bridgeWarmUpMs }: Plan,
  { target, direct, progress }: TurnsDeps,
): Promise<StdioResults['turns']> {
  const results: StdioResults['turns'] = new Map()
  const bridges = new Map<WorkingBridge, { process: Piped; host: Host }>()
  const turn = async (name: WorkingBridge | 'direct', order: TurnOrder) => {
    if (name === 'direct') return direct(order)
    const { host, process } = bridges.get(name)!
    return callThrough(host, process, target, order).catch(explain(name))
  }
  for (const name of WORKING) {
    progress(`stdio, warm-up of ${name}`)
    const process = startBridge(place, name)
    const host = createHost(process)
    bridges.set(name, { process, host })
    await host.initialize().catch(explain(name))
    host.initialized()
    const times = { durationMs: bridgeWarmUpMs, maxAnswers: WARM_UP_ANSWERS }
    await turn(name, { ...CASES.many, ...times })
  }
  for (const [id, wanted] of Object.entries(CASES) as [StdioCase, (typeof CASES)['one']][]) {
    progress(`stdio, ${id}`)
    const names = id === 'one' ? (['direct', ...WORKING] as const) : WORKING
    const measured = new Map(names.map((name) => [name, [] as TurnMeasurement[]]))
    results.set(id, measured)
    for (const name of names) await turn(name, { ...wanted, durationMs: turnMs.stdio / 2 })
    for (let round = 0; round < rounds.stdio; round += 1) {
      for (const name of inOrderOf([...names], round)) {
        measured.get(name)?.push(await turn(name, { ...wanted, durationMs: turnMs.stdio }))
      }
    }
  }
  for (const { process } of bridges.values()) await process.kill()
  return results
}

/** The target counts too: an answer that a bridge made up would be noticed. */
async function callThrough(host: Host, { pid }: Piped, { remote }: Started, order: TurnOrder) {
  const counted = async () => (await remote.call<{ calls: number }>('counts')).calls
  const [callsBefore, cpuBefore] = [await counted(), cpuMs(pid)]
  const turn = await takeTurn(host, order)
  const [cpuAfter, calls] = [cpuMs(pid), (await counted()) - callsBefore]
  if (calls !== turn.answers) {
    throw new Error(`${turn.answers} calls answered, but ${calls} came to the target`)
  }
  const used = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore
  return { ...turn, cpuMs: used }
}

const explain = (name: string) => (error: Error) => {
  throw new Error(`${name}, stdio: ${error.message}`)
}
