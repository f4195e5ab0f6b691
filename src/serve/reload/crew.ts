import cluster, { type Worker } from 'node:cluster'
import type { LoadedConfig } from '../../config/load.js'
import { ProxyError } from '../../util/errors.js'
import { isObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { Changes } from './changes.js'

/** Longer than Descope may take to answer. */
const PREPARE_MS = 60_000

/** What the first process sends to a worker. */
export type ToWorker =
  | { readonly config: LoadedConfig }
  | { readonly prepare: number; readonly next: LoadedConfig; readonly changed: readonly string[] }
  | { readonly commit: number }
  | { readonly drop: number }
  | { readonly reopen: true }

/** What a worker sends to the first process about its configuration. */
export type FromWorker =
  | { readonly wants: 'config' }
  | { readonly prepared: number; readonly problem?: string; readonly hint?: string | undefined }

type CrewMember = Pick<Worker, 'on' | 'once' | 'process' | 'kill' | 'send' | 'isConnected'>

interface Member {
  readonly worker: CrewMember
  /** Of the configuration that it was given. */
  version: number
  isReady: boolean
  answered?: ((problem: ProxyError | undefined) => void) | undefined
}

/**
 * The workers of one server, as to their configuration: all have the same one. It is read by the first
 * process alone, so that a file which changes meanwhile is not read differently by each.
 */
export function createCrew(
  loaded: LoadedConfig,
  clock: Pick<Clock, 'after'>,
  fork: () => CrewMember = forkWorker,
) {
  const members = new Set<Member>()
  let current = loaded
  let version = 0
  let lastChanged: readonly string[] = []

  const tell = (worker: CrewMember, message: ToWorker) => {
    if (worker.isConnected()) worker.send(message)
  }

  function add(): CrewMember {
    const worker = fork()
    const member: Member = { worker, version, isReady: false }
    members.add(member)
    worker.on('message', (message: unknown) => {
      if (!isObject(message)) return
      if (message['wants'] === 'config') {
        member.version = version
        tell(worker, { config: current })
      }
      if (typeof message['readyOn'] === 'number') onReady(member)
      if (typeof message['prepared'] === 'number') member.answered?.(problemOf(message))
    })
    worker.once('exit', () => {
      members.delete(member)
      // another one takes its place, with whatever is in force then
      member.answered?.(undefined)
    })
    return worker
  }

  /** One that started while the others got another configuration gets it now. */
  function onReady(member: Member): void {
    member.isReady = true
    if (member.version !== version) void bringUp(member)
  }

  async function bringUp(member: Member): Promise<void> {
    const problem = await prepare(member, version, current, lastChanged)
    if (problem === undefined) commit(member, version)
    else member.worker.kill('SIGTERM')
  }

  function commit(member: Member, to: number): void {
    member.version = to
    tell(member.worker, { commit: to })
  }

  function prepare(
    member: Member,
    to: number,
    next: LoadedConfig,
    changed: readonly string[],
  ): Promise<ProxyError | undefined> {
    return new Promise((resolve) => {
      const late = new ProxyError('INTERNAL', 'A worker did not take it within a minute')
      const cancel = clock.after(PREPARE_MS, () => member.answered?.(late))
      member.answered = (problem) => {
        member.answered = undefined
        cancel()
        resolve(problem)
      }
      tell(member.worker, { prepare: to, next, changed })
    })
  }

  return {
    fork: add as () => Worker,

    /** Has all open their files anew. */
    reopen(): void {
      for (const { worker } of members) tell(worker, { reopen: true })
    },

    /**
     * Puts another configuration in force in all workers; in none when one of them refuses it.
     *
     * @throws {ProxyError} With the reason of the first that refused.
     */
    async apply(next: LoadedConfig, { changed }: Changes): Promise<void> {
      const to = version + 1
      const ready = [...members].filter(({ isReady }) => isReady)
      const answers = await Promise.all(ready.map((one) => prepare(one, to, next, changed)))
      const problem = answers.find((answer) => answer !== undefined)
      if (problem !== undefined) {
        for (const { worker } of ready) tell(worker, { drop: to })
        throw problem
      }
      version = to
      current = next
      lastChanged = changed
      for (const member of ready) commit(member, to)
      for (const member of members) {
        if (member.isReady && member.version !== to) void bringUp(member)
      }
    },
  }
}

function forkWorker(): Worker {
  // keeps maps, and members that are undefined
  cluster.setupPrimary({ serialization: 'advanced' })
  return cluster.fork()
}

function problemOf({ problem, hint }: Record<string, unknown>): ProxyError | undefined {
  if (typeof problem !== 'string') return undefined
  return new ProxyError('CONFIG_INVALID', problem, typeof hint === 'string' ? { hint } : {})
}
