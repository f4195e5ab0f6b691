import { randomUUID } from 'node:crypto'
import type { SignInView } from '../auth/tokens/token-store.js'
import { isStateless } from '../mcp/headers.js'
import { resultResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import type { ProxyError } from '../util/errors.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { showUrls } from '../util/url-text.js'
import type { BridgeSession } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { OpenRequest } from './requests.js'

/** The tool that stands in for the target's own ones while nobody is signed in. */
export const LOGIN_TOOL = 'login'

/** Double quotes are what every shell takes for the `&` in the URL. */
const PASTE = 'mcp-descope-proxy login --paste "<url>"'

/** Says to a person, or to the model that passes it on, how to sign in. */
export function describeSignIn(view: SignInView, target: string): string {
  if (view.phase === 'waiting') {
    const { url, userCode, tab } = view
    if (userCode !== undefined) {
      return `Sign in to ${target} first: open ${url} on any device, enter the code ${userCode}, then try again.`
    }
    const opened = tab === 'opened' || tab === 'elsewhere'
    const where = opened ? 'in the browser tab that was opened, or at' : 'at'
    const paste =
      view.method === 'paste'
        ? ` Then run \`${PASTE}\`, with the URL that the browser ends at between the quotes.`
        : ''
    const byHand = tab === 'withheld' ? ` Or run \`mcp-descope-proxy login\`.` : ''
    return `Sign in to ${target} first, ${where} ${url}, then try again.${paste}${byHand}`
  }
  if (view.phase === 'failed') {
    return `No access to ${target}: ${sentences(view.error)}`
  }
  return `Nobody is signed in to ${target} yet; the sign-in is being prepared. Try again in a moment, or run \`mcp-descope-proxy login\`.`
}

/** Says why a page is to be opened. */
export function promptText(view: SignInView, target: string): string {
  const code = view.phase === 'waiting' ? view.userCode : undefined
  const enter = code === undefined ? '' : ` and enter the code ${code}`
  return `Sign in to ${target} on this page${enter}. What was asked for then goes on by itself.`
}

/** Writes message and hint of an error as sentences, in which no URL has a query: it may be secret. */
export function sentences({ message, hint }: ProxyError): string {
  const text = showUrls(message)
  const first = /[.!?]$/.test(text) ? text : `${text}.`
  return hint === undefined ? first : `${first} ${hint}`
}

/** Makes the tool through which the user is told how to sign in. */
export function loginTool(view: SignInView, target: string): JsonObject {
  return {
    name: LOGIN_TOOL,
    title: `Sign in to ${target}`,
    description: `${describeSignIn(view, target)} The other tools appear when that is done.`,
    inputSchema: { type: 'object', properties: {} },
  }
}

/** Writes the result of a tool call that says why it did not happen. */
export function toolText({ message, id }: OpenRequest, text: string, isError: boolean): string {
  return respond(message, id, { content: [{ type: 'text', text }], ...(isError && { isError }) })
}

/** Writes a response; the stateless era wants every result to say that it is complete. */
export function respond(message: Message, id: string | number, result: JsonObject): string {
  if (!isStateless(message)) return resultResponse(id, result)
  return resultResponse(id, { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...result })
}

interface LoginPromptOptions {
  host: HostConnection
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
