import { connectToolOf } from '../../util/connect-tool.js'
import type { JsonObject } from '../../util/json.js'

/** What is said to people, or to the model that passes it on, about a connection. */
export interface ConnectWords {
  /** The tool that stands in while nothing else is known. */
  readonly tool: JsonObject & { readonly name: string }
  readonly instructions: string
  readonly connected: string
  readonly declined: string
  /** What a client shows beside the link. */
  readonly prompt: string
  /** @param isStillOpen The user was sent there before. */
  withLink(url: string, isStillOpen?: boolean): string
  /** The tenant is not connected: nothing that this user can do. */
  readonly tenant: string
}

/**
 * Prepares the texts of one target.
 *
 * @param app The id of the connection.
 */
export function connectWords(target: string, app: string, by: 'user' | 'tenant'): ConnectWords {
  const name = JSON.stringify(app)
  const tenant = `The tenant is not connected with ${name} yet: an administrator connects it in Descope (console: Connections, ${name}). Then try again.`
  const needed = by === 'user' ? `Nobody has connected ${name} for this user yet.` : tenant
  const then = `The tools of ${target} appear when that is done.`
  return {
    tool: {
      name: connectToolOf(app),
      title: `Connect ${app}`,
      description:
        by === 'user' ? `${needed} Call this to get the link to connect. ${then}` : tenant,
      inputSchema: { type: 'object', properties: {} },
    },
    instructions:
      by === 'user' ? `${needed} Any call answers with the link to connect. ${then}` : tenant,
    connected: `${name} is connected. The tools of ${target} are available now.`,
    declined: `${name} is not connected, because the user declined; ${target} needs that.`,
    prompt: `Connect ${app} on this page, so that ${target} can be used for you.`,
    withLink(url, isStillOpen = false) {
      const what = isStillOpen ? `${name} is still not connected` : `Connect ${name} first`
      return `${what}: have the user open ${url} in a browser, then try again.`
    },
    tenant,
  }
}
