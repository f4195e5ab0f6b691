import { learnNames } from './ask.js'
import type { GatewayContext, Request } from './context.js'

/**
 * Creates the function that gets to know an alias which another process gave out.
 *
 * @returns A promise that all requests with the same name share while the lists are read;
 *   `undefined` when there is nothing to learn.
 */
export function createAliasLearner(context: GatewayContext) {
  const { names } = context
  const running = new Map<string, Promise<void>>()

  async function learn(name: string, request: Request): Promise<void> {
    const unread = await learnNames(context, request)
    const target = names.route(name)?.target
    if (target !== undefined && unread.has(target)) names.lookAgain(name)
  }

  return (name: string, request: Request): Promise<void> | undefined => {
    const known = running.get(name)
    if (known !== undefined || !names.isUnknownAlias(name)) return known
    const learning = learn(name, request).finally(() => running.delete(name))
    running.set(name, learning)
    return learning
  }
}
