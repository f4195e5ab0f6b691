import { randomUUID } from 'node:crypto'
import type { SignInView } from '../auth/tokens/token-store.js'
import { notificationText, requestText, resultResponse } from '../mcp/jsonrpc.js'
import { isStateless, type Message } from '../mcp/message.js'
import type { ProxyError } from '../util/errors.js'
import { type JsonObject, objectMember, tryParseJson } from '../util/json.js'
import { showUrls } from '../util/url-text.js'
import type { BridgeSession } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { OpenRequest } from './requests.js'

/** The tool that stands in for the target's own ones while nobody is signed in. */
export const LOGIN_TOOL = 'login'

/** In double quotes, since every shell then takes the `&` in the URL as it is. */
const PASTE = 'mcp-descope-proxy login --paste "<url>"'

/** Says to a person, or to the model that passes it on, how to sign in. */
export function describeSignIn(view: SignInView, target: string): string {
  if (view.phase === 'waiting') {
    const { url, userCode, tab } = view
    if (userCode !== undefined) {
      return `Sign in to ${target} first: open ${url} on any device, enter the code ${userCode}, then try again.`
    }
    const isOpen = tab === 'opened' || tab === 'elsewhere'
    const where = isOpen ? 'in the browser tab that was opened, or at' : 'at'
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

/** Writes message and hint of an error as sentences, without the queries of URLs, which may be secret. */
function sentences({ message, hint }: ProxyError): string {
  const text = showUrls(message)
  const first = /[.!?]$/.test(text) ? text : `${text}.`
  return hint === undefined ? first : `${first} ${hint}`
}

/** Makes the tool whose description and result tell the user how to sign in. */
export function loginTool(view: SignInView, target: string): JsonObject {
  return {
    name: LOGIN_TOOL,
    title: `Sign in to ${target}`,
    description: `${describeSignIn(view, target)} The other tools appear when that is done.`,
    inputSchema: { type: 'object', properties: {} },
  }
}

/** Writes a result of a tool call that is one text of ours. */
export function toolText({ message, id }: OpenRequest, text: string, isError: boolean): string {
  return respond(message, id, { content: [{ type: 'text', text }], ...(isError && { isError }) })
}

/** Writes a response. In the stateless protocol every result must say that it is complete. */
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
export function createLoginPrompt({ host, session, target, onDeclined }: LoginPromptOptions) {
  let shown: { id: string; url: string } | undefined

  /** Nobody has to sign in any more: the host may put the prompt away. */
  function complete(): void {
    if (shown === undefined) return
    host.send(notificationText('notifications/elicitation/complete', { elicitationId: shown.id }))
    shown = undefined
  }

  return {
    complete,

    /** Shows a sign-in that waits for the user; false where the host cannot. */
    show(view: SignInView): boolean {
      const capabilities = session.hostParams?.['capabilities']
      const urls = objectMember(objectMember(capabilities, 'elicitation'), 'url')
      if (urls === undefined || view.phase !== 'waiting') return false
      if (shown?.url === view.url) return true
      complete()
      const id = `${OWN_IDS}${randomUUID()}`
      const { url, userCode } = view
      shown = { id, url }
      const enter = userCode === undefined ? '' : ` and enter the code ${userCode}`
      const message = `Sign in to ${target} on this page${enter}. The request then goes on by itself.`
      const params = { mode: 'url', elicitationId: id, url, message }
      host.send(requestText(id, 'elicitation/create', params))
      return true
    },

    /** Takes the host's answer to a prompt of ours; false when it is an answer to something else. */
    take({ id, text }: Message): boolean {
      if (typeof id !== 'string' || !id.startsWith(OWN_IDS)) return false
      const action = objectMember(tryParseJson(text), 'result')?.['action']
      if (shown?.id === id && (action === 'decline' || action === 'cancel')) onDeclined()
      return true
    },
  }
}
