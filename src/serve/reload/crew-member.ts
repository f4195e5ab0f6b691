import cluster from 'node:cluster'
import type { LoadedConfig } from '../../config/load.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import type { FromWorker, ToWorker } from './crew.js'
import type { Prepared } from './newcomers.js'

const send = (message: FromWorker) => {
  if (cluster.worker?.isConnected()) cluster.worker.send(message)
}

/** Asks the first process for the configuration that is in force. */
export function askForConfig(): Promise<LoadedConfig> {
  return new Promise((resolve) => {
    const take = (message: ToWorker) => {
      if (!('config' in message)) return
      cluster.worker?.off('message', take)
      resolve(message.config)
    }
    cluster.worker?.on('message', take)
    send({ wants: 'config' })
  })
}

/**
 * Puts other configurations in force as the first process says: first all workers prepare one, then all
 * commit to it.
 *
 * @param onCommit Called after each commit.
 */
export function followCrew(
  prepare: (next: LoadedConfig, changed: readonly string[]) => Promise<Prepared>,
  onCommit: (next: LoadedConfig) => void,
  reopen: () => void,
): void {
  let ready: { version: number; next: LoadedConfig; prepared: Prepared } | undefined

  async function take(version: number, next: LoadedConfig, changed: readonly string[]) {
    try {
      ready?.prepared.drop()
      ready = undefined
      ready = { version, next, prepared: await prepare(next, changed) }
      send({ prepared: version })
    } catch (error) {
      const hint = error instanceof ProxyError ? error.hint : undefined
      send({ prepared: version, problem: messageOf(error), hint })
    }
  }

  cluster.worker?.on('message', (message: ToWorker) => {
    if ('reopen' in message) return reopen()
    if ('prepare' in message) return void take(message.prepare, message.next, message.changed)
    const version = 'commit' in message ? message.commit : 'drop' in message ? message.drop : -1
    if (ready?.version !== version) return
    const { prepared, next } = ready
    ready = undefined
    if ('drop' in message) return prepared.drop()
    prepared.commit()
    onCommit(next)
  })
}
