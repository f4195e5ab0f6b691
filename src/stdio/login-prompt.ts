import { randomUUID } from 'node:crypto'
import type { SignInView } from '../auth/sign-in-port.js'
import type { Message } from '../mcp/message.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { Host } from './host.js'
import type { BridgeSession } from './session.js'
import { promptText } from './words.js'

export interface LoginPromptOptions {
  host: Host
  session: BridgeSession
  /** Name of the target, for people. */
  target: string
  /** The user does not want to sign in now. */
  onDeclined(): void
}

const OWN_IDS = 'mcp-descope-proxy/login-'

/**
 * Has the host show where to sign in, if it can show URLs. Each URL is shown once.
 *
 * @see [MCP 2025-11-25, URL mode](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-mode-elicitation-requests)
 */
export class LoginPrompt {
  readonly #options: LoginPromptOptions
  #shown: { id: string; url: string } | undefined

  constructor(options: LoginPromptOptions) {
    this.#options = options
  }

  /** Shows a sign-in that waits for the user; false where the host cannot. */
  show(view: SignInView): boolean {
    const { host, session, target } = this.#options
    const capabilities = session.hostParams?.['capabilities']
    const elicitation = isObject(capabilities) ? capabilities['elicitation'] : undefined
    if (!isObject(elicitation) || !isObject(elicitation['url']) || view.phase !== 'waiting')
      return false
    if (this.#shown?.url === view.url) return true
    this.complete()
    const id = `${OWN_IDS}${randomUUID()}`
    this.#shown = { id, url: view.url }
    const message = promptText(view, target)
    const params = { mode: 'url', elicitationId: id, url: view.url, message }
    host.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'elicitation/create', params }))
    return true
  }

  /** Takes the host's answer to a prompt of ours; false when it is an answer to something else. */
  take({ id, text }: Message): boolean {
    if (typeof id !== 'string' || !id.startsWith(OWN_IDS)) return false
    const response = tryParseJson(text)
    const result = isObject(response) ? response['result'] : undefined
    const action = isObject(result) ? result['action'] : undefined
    const declined = action === 'decline' || action === 'cancel'
    if (declined && this.#shown?.id === id) this.#options.onDeclined()
    return true
  }

  /** Nobody has to sign in any more: the host may put the prompt away. */
  complete(): void {
    if (this.#shown === undefined) return
    const params = { elicitationId: this.#shown.id }
    this.#shown = undefined
    const method = 'notifications/elicitation/complete'
    this.#options.host.send(JSON.stringify({ jsonrpc: '2.0', method, params }))
  }
}
