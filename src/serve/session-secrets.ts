import { randomBytes } from 'node:crypto'
import type { ProxyConfig } from '../config/types.js'
import type { Logger } from '../util/logger.js'

/**
 * Returns the secrets that seal sessions, the first one for new ones. A single process makes its
 * own when none is configured; on Vercel, where every request may meet a new process, there are
 * none, and a target that needs sessions gets one for each request.
 */
export function sessionSecrets(
  { session, server }: Pick<ProxyConfig, 'session' | 'server'>,
  logger: Logger,
): string[] {
  if (session.secret !== undefined) return [session.secret, ...session.previousSecrets]
  if (server.vercel !== undefined) {
    logger.warn(
      'no_session_secret',
      'SESSION_SECRET is not set: targets with sessions get a new one for each request; tasks, states of calls that wait for input and requests of targets are not handed out, since they cannot be kept from other users',
    )
    return []
  }
  logger.warn(
    'no_session_secret',
    'SESSION_SECRET is not set: sessions and tasks end when this process does, and no other can serve them',
  )
  return [randomBytes(32).toString('hex')]
}

/**
 * Creates the function that returns the secrets of a configuration. A secret that was made here stays in
 * use, so that no other configuration ends the sessions that it sealed.
 */
export function createSecrets(logger: Logger) {
  let made: readonly string[] | undefined
  return (config: Pick<ProxyConfig, 'session' | 'server'>): readonly string[] => {
    if (config.session.secret !== undefined) {
      return [...sessionSecrets(config, logger), ...(made ?? [])]
    }
    made ??= sessionSecrets(config, logger)
    return made
  }
}
