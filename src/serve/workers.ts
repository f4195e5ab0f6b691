import cluster, { type Worker } from 'node:cluster'
import { createReplays, type Replays, type ReplayVerdict } from '../auth/verify/replays.js'
import type { ProxyConfig } from '../config/types.js'
import { firstFault } from '../util/errors.js'
import { isObject, type JsonObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock, Runtime } from '../util/runtime.js'
import type { ConsoleParts } from './console/open.js'
import { type Told, toldIn } from './console/recent-calls.js'
import { portOf, startMetricsServer } from './metrics-server.js'

const FIRST_RESTART_MS = 1_000

const LAST_RESTART_MS = 30_000

/** A worker that lived this long did not fail at its start. */
const STEADY_MS = 10_000

/** How often in a row a worker and its replacements may fail at their start. */
const MAX_FAILURES = 5

/** Tells whether this process is one of several workers. */
export function isWorker(): boolean {
  return cluster.isWorker
}

/** Tells the first process that this worker serves. */
export function tellReady(port: number): void {
  cluster.worker?.send({ readyOn: port })
}

/** Tells the first process which requests ended. */
export function tellWorkersOwner(message: { finished: Told }): void {
  if (cluster.worker?.isConnected()) cluster.worker.send(message)
}

/** Tells the first process how many requests this worker had; resolves when it was told. */
export function tellEnd(requests: number): Promise<void> {
  return new Promise((resolve) => {
    if (cluster.worker === undefined || !cluster.worker.isConnected()) resolve()
    else cluster.worker.send({ requests }, undefined, () => resolve())
  })
}

/** Longest wait for the first process, milliseconds. */
const ASK_MS = 2_000

/**
 * Has the first process remember the proofs that were used at any of the workers. Where it does not
 * answer in time, nothing is taken.
 */
export function sharedReplays(clock: Pick<Clock, 'after'>): Replays {
  const waiting = new Map<number, (verdict: ReplayVerdict) => void>()
  let last = 0
  cluster.worker?.on('message', (message: unknown) => {
    if (!isObject(message) || typeof message['proof'] !== 'number') return
    waiting.get(message['proof'])?.(message['verdict'] as ReplayVerdict)
  })
  return {
    use: (key, id) =>
      new Promise((resolve) => {
        const proof = ++last
        const end = (verdict: ReplayVerdict) => {
          cancel()
          if (waiting.delete(proof)) resolve(verdict)
        }
        const cancel = clock.after(ASK_MS, () => end('full'))
        waiting.set(proof, end)
        if (!cluster.worker?.isConnected()) return end('full')
        cluster.worker.send({ proof, key, id }, undefined, (error) => {
          if (error !== null) end('full')
        })
      }),
  }
}

/** Answers a worker's question whether a proof was used at any of them. */
function answerProof(worker: Pick<Worker, 'send'>, replays: Replays, message: JsonObject): void {
  const { proof, key, id } = message
  if (typeof key !== 'string' || typeof id !== 'string') return
  // one that has ended meanwhile needs no answer
  worker.send({ proof, verdict: replays.use(key, id) }, undefined, () => undefined)
}

export interface WorkersListener {
  /** Called once, with the port and that of the metrics, when all accept connections. */
  onListening(port: number, metricsPort: number | undefined): void
  /** Called last, with the reason and how many requests came to all workers that said so. */
  onEnd(why: string, requests: number): void
  console?: ConsoleParts | undefined
  /** Metrics of the first process itself. */
  ownMetrics?(): Promise<string>
}

/** One of the workers, with those that took its place. */
interface Slot {
  /** How many in a row ended at once. */
  failures: number
}

/**
 * Runs the server in several processes that share the port, until a signal ends them. The first
 * worker shows whether they can start at all; one that dies later is replaced, after growing pauses.
 * One whose successors all end at once ends everything.
 *
 * @param fork Starts a worker.
 * @returns The exit status.
 * @throws {ProxyError} `LISTEN_FAILED` when the port of the metrics cannot be had.
 */
export async function runWorkers(
  runtime: Pick<Runtime, 'clock' | 'onSignal' | 'onFault'> & Partial<Pick<Runtime, 'platform'>>,
  { server }: Pick<ProxyConfig, 'server'>,
  logger: Logger,
  { onListening, onEnd, console, ownMetrics }: WorkersListener,
  fork: () => Pick<Worker, 'on' | 'once' | 'process' | 'send'> = () => cluster.fork(),
): Promise<number> {
  const { clock } = runtime
  const metrics = await listenMetrics(server, console, ownMetrics)
  const replays = createReplays(clock)
  return new Promise((resolve) => {
    let ready = 0
    let requests = 0
    /** Why it ends, once it does. */
    let why: string | undefined
    let status = 0
    const running = new Set<ReturnType<typeof fork>>()

    const start = (slot: Slot) => {
      const worker = fork()
      const startedAt = clock.now()
      running.add(worker)
      worker.on('message', (message: unknown) => {
        if (!isObject(message)) return
        if (typeof message['readyOn'] === 'number') onReady(message['readyOn'])
        if (typeof message['proof'] === 'number') answerProof(worker, replays, message)
        if (typeof message['requests'] === 'number') requests += message['requests']
        const told = toldIn(message)
        if (told !== undefined) console?.take(told)
      })
      worker.once('exit', (code: number | null, signal: string | null) => {
        running.delete(worker)
        if (why === undefined) onDeath(slot, code, signal, clock.now() - startedAt)
        if (why !== undefined && running.size === 0) {
          metrics?.close()
          metrics?.closeAllConnections()
          if (ready > 0) onEnd(why, requests)
          resolve(status)
        }
      })
    }

    const onReady = (port: number) => {
      ready++
      if (ready === 1) for (let i = 1; i < server.workers; i++) start({ failures: 0 })
      if (ready === server.workers) onListening(port, metrics && portOf(metrics))
    }

    const onDeath = (slot: Slot, code: number | null, signal: string | null, livedMs: number) => {
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`
      if (ready === 0) {
        // it logged why, and another one would fail in the same way
        status = code ?? 1
        why = 'the first worker did not start'
        if (signal !== null) logger.error('worker_died', `The first worker ${how}`, { signal })
        return
      }
      slot.failures = livedMs >= STEADY_MS ? 1 : slot.failures + 1
      if (slot.failures >= MAX_FAILURES) return giveUp(how, code)
      const pauseMs = Math.min(FIRST_RESTART_MS * 2 ** (slot.failures - 1), LAST_RESTART_MS)
      const text = `A worker ${how}; another takes its place in ${pauseMs / 1000} s`
      logger.error('worker_died', text, { ...exitOf(code, signal), failures: slot.failures })
      clock.after(pauseMs, () => {
        if (why === undefined) start(slot)
      })
    }

    const giveUp = (how: string, code: number | null) => {
      const text = `A worker ${how}, as did ${MAX_FAILURES - 1} before it, each within ${STEADY_MS / 1000} s: giving up`
      logger.error('workers_failed', text)
      status = code || 1
      stop('workers end at once, again and again')
    }

    const signalAll = (signal: 'SIGTERM' | 'SIGHUP') => {
      for (const worker of running) worker.process.kill(signal)
    }

    const stop = (reason: string) => {
      why ??= reason
      signalAll('SIGTERM')
    }

    runtime.onSignal(stop)
    void firstFault(runtime, logger, 'all workers are ended in order').then(() => {
      status = 1
      stop('an error that nothing caught')
    })
    start({ failures: 0 })
  })
}

function exitOf(code: number | null, signal: string | null) {
  return { status: code ?? undefined, signal: signal ?? undefined }
}

/** Serves the sum of all workers' metrics from the first process. */
async function listenMetrics(
  { metricsPort, ...server }: ProxyConfig['server'],
  console: ConsoleParts | undefined,
  own: WorkersListener['ownMetrics'],
) {
  if (metricsPort === undefined) return undefined
  const { AggregatorRegistry } = await import('prom-client')
  const registry = new AggregatorRegistry()
  const text = async () => `${await registry.clusterMetrics()}\n${(await own?.()) ?? ''}`
  const source = { text, contentType: registry.contentType }
  return startMetricsServer(source, { ...server, metricsPort }, console?.create(text))
}
