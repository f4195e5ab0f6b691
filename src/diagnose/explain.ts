import { OAuthRefusedError } from '../auth/oauth/failure.js'
import type { HttpAnswer } from '../upstream/answer-reader.js'
import { type NetworkFailure, networkHint } from '../upstream/upstream-error.js'
import { type ErrorCode, messageOf, ProxyError } from '../util/errors.js'
import { isServerAway, mayMeanOtherPath } from '../util/failure.js'
import { isObject, ownMember, tryParseJson } from '../util/json.js'
import { cutText } from '../util/text.js'
import { didYouMeanEndpoint, shownUrl } from '../util/url-text.js'
import { type FailureCode, fail, type Verdict } from './check.js'
import { answerOf, type CheckExchange, rpcErrorOf } from './client.js'

const LOG = 'Look into the log of the server.'

/** What an HTTP status without an MCP answer means, and what to do about it. */
const BY_STATUS: Readonly<Record<number, readonly [detail: string, hint: string]>> = {
  400: ['refuses the request', `${LOG} It may speak another protocol at this path.`],
  404: [
    'has no MCP endpoint at this path',
    'Correct the path of the URL; most servers use /mcp. If its metadata names this URL, the account may not be admitted to it.',
  ],
  405: [
    'does not accept POST at this path',
    'Correct the path of the URL; most servers use /mcp, and /sse only for the older transport.',
  ],
  406: ['refuses our Accept header', 'Let it take "application/json, text/event-stream".'],
  413: ['finds the request too large', 'Raise the limit of the server or of the proxy before it.'],
  415: ['refuses our Content-Type', 'Let it take "application/json".'],
  421: ['does not know this host name', 'Allow the host name there (in `serve`: --allowed-host).'],
  429: ['wants fewer requests', 'Wait, or raise its rate limit for this client.'],
}

/**
 * Says why an exchange does not conform to MCP.
 *
 * @param method The requested method, for the text.
 * @param url The requested URL, to suggest the endpoint that was meant.
 */
export function explain(exchange: CheckExchange, method: string, url?: URL): Verdict {
  const { isElsewhere, ...verdict } = explainExchange(exchange, method)
  const meant = url && isElsewhere ? didYouMeanEndpoint(url) : undefined
  return meant === undefined ? verdict : { ...verdict, hint: `${meant} ${verdict.hint ?? ''}` }
}

/** `isElsewhere`: the URL may not be an MCP endpoint at all. */
type Explanation = Verdict & { readonly isElsewhere?: true }

function explainExchange(exchange: CheckExchange, method: string): Explanation {
  if (exchange.kind === 'failed') return explainFailure(exchange.failure, method)
  const { answer } = exchange
  const { status, message, text } = answer
  const gate = gateOf(answer)
  if (gate !== undefined) return gate
  const error = rpcErrorOf(exchange)
  if (error !== undefined) {
    const said = `${error.code} ${JSON.stringify(error.message.slice(0, 200))}`
    const http = status >= 300 ? ` (HTTP ${status})` : ''
    return fail(`${method} is answered with the error ${said}${http}`, LOG, 'PROTOCOL_INVALID')
  }
  if (status >= 300) return explainStatus(answer, method)
  if (message?.['jsonrpc'] === '2.0') {
    const hint = 'Answer with "jsonrpc", "id" and either "result" or "error".'
    return fail(`${method} is answered without a result`, hint, 'PROTOCOL_INVALID')
  }
  if (isHtml(answer)) {
    const hint = 'Correct the URL, or let programs past the page in front of the server.'
    return elsewhere(fail(`the answer is ${page(text)}, not MCP`, hint, 'PROTOCOL_INVALID'))
  }
  return explainBody(answer, method)
}

const elsewhere = (verdict: Verdict): Explanation => ({ ...verdict, isElsewhere: true })

function explainBody(answer: HttpAnswer, method: string): Explanation {
  const type = answer.header('content-type') ?? 'no content type'
  const invalid = (detail: string, hint: string) => fail(detail, hint, 'PROTOCOL_INVALID')
  if (/^text\/event-stream\b/i.test(type)) {
    return invalid(
      `the stream ends without a response to ${method}`,
      'Send the response before the stream ends.',
    )
  }
  if (answer.text.trim() === '') {
    return invalid(
      `${method} is answered with HTTP ${answer.status} and nothing else`,
      'Answer requests with a response; 202 is for notifications only.',
    )
  }
  const body = tryParseJson(answer.text.replace(/^\ufeff/, ''))
  if (body === undefined) {
    return elsewhere(invalid(`${method} is answered with ${type} that is not JSON`, LOG))
  }
  if (isObject(body) && body['jsonrpc'] === '2.0' && 'id' in body) {
    return invalid(
      `the response to ${method} has the id ${JSON.stringify(body['id'])?.slice(0, 40)}, not that of the request`,
      'Answer with the id of the request, of the same type.',
    )
  }
  return elsewhere(
    invalid(
      `${method} is answered with JSON that is not a JSON-RPC response`,
      'Check that the URL is the MCP endpoint; most servers use /mcp.',
    ),
  )
}

function explainStatus({ status, header, text }: HttpAnswer, method: string): Explanation {
  const location = header('location')
  if (status < 400) {
    const place = location === undefined ? 'nowhere' : cutText(shownUrl(location), 200)
    const hint =
      'Use the URL that it redirects to, or let programs past the sign-in page in front of it.'
    return elsewhere(fail(`redirects (HTTP ${status}) to ${place}`, hint, 'PROTOCOL_INVALID'))
  }
  if (isServerAway(status)) {
    const hint = 'Start the server behind the gateway, or wait for it with `--wait <seconds>`.'
    const what = `a gateway answers HTTP ${status}: the server behind it is down or not ready`
    return fail(what, hint, 'TARGET_UNREACHABLE')
  }
  if (status === 401 || status === 403) {
    const hint = 'Give it a credential, or sign in: `mcp-descope-proxy login <url>`.'
    return fail(`${method} is refused (HTTP ${status})`, hint, 'CREDENTIAL_REFUSED')
  }
  const [detail, hint] = BY_STATUS[status] ?? ['fails', LOG]
  const body = /<html/i.test(text) ? ` with ${page(text)}` : ''
  const verdict = fail(`${detail} (HTTP ${status}${body})`, hint, 'PROTOCOL_INVALID')
  return mayMeanOtherPath(status) ? elsewhere(verdict) : verdict
}

/** Recognises protection in front of the server that answered in its place. */
export function gateOf({ status, header, text }: HttpAnswer): Verdict | undefined {
  const location = header('location') ?? ''
  const cookies = header('set-cookie') ?? ''
  const start = text.slice(0, 20_000)
  if (
    /_vercel_sso_nonce/.test(cookies) ||
    /^https:\/\/vercel\.com\/sso/.test(location) ||
    (status >= 300 && /vercel\.com\/sso-api|Vercel Authentication/i.test(start))
  ) {
    return fail(
      `Vercel's deployment protection answers (HTTP ${status}), not the server`,
      "Switch it off for this deployment, or pass `--header 'x-vercel-protection-bypass: $" +
        "{VERCEL_AUTOMATION_BYPASS_SECRET}'`.",
      'PROTOCOL_INVALID',
    )
  }
  if (header('cf-mitigated') === 'challenge' || /\.cloudflareaccess\.com\//.test(location)) {
    return fail(
      `Cloudflare's protection answers (HTTP ${status}), not the server`,
      'Let this client past it: a service token as --header, or a rule for the path.',
      'PROTOCOL_INVALID',
    )
  }
  return undefined
}

/** Tells whether the server may become reachable later: the network failed, or a gateway says so. */
export function mayComeLater(exchange: CheckExchange): boolean {
  const answer = answerOf(exchange)
  return answer === undefined || isServerAway(answer.status)
}

export function isHtml({ header, text }: HttpAnswer): boolean {
  return /^text\/html\b/i.test(header('content-type') ?? '') || /^\s*<(!doctype|html)/i.test(text)
}

function page(html: string): string {
  const title = /<title[^<>]*>([^<]{1,200})/i.exec(html)?.[1]?.trim().slice(0, 60)
  return title ? `an HTML page ${JSON.stringify(title)}` : 'an HTML page'
}

const BY_CAUSE = {
  unreachable: 'Check host, port and network: `curl -v <url>`.',
  timeout: 'Check whether the server is busy or stuck, or allow more with `--timeout <seconds>`.',
  cut_off:
    'Look into the log of the server, and check whether the port takes http or https: `curl -v <url>`.',
  invalid_answer: 'Check whether the port speaks HTTP, and http or https: `curl -v <url>`.',
  http_status: 'Look into the log of the server.',
  session_lost: 'Look into the log of the server.',
  session_required: 'Look into the log of the server.',
} as const

/** Makes a verdict of a network failure. */
export function explainFailure(failure: NetworkFailure, what = ''): Verdict {
  const { cause, reason } = failure
  const detail = what === '' ? reason : `${what}: ${reason}`
  const code = cause === 'invalid_answer' ? 'PROTOCOL_INVALID' : 'TARGET_UNREACHABLE'
  return fail(detail, networkHint(reason) ?? BY_CAUSE[cause], code)
}

/** Hints by error code of the authorization server: OAuth's codes and Descope's own. */
const REFUSAL_HINTS: Readonly<Record<string, string>> = {
  E063316:
    'In Descope, give the client access: Agentic Identity Hub > Policies, for this MCP server.',
  E061005: 'Check the client secret, or sign in again.',
  invalid_client: 'Check MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET.',
  unauthorized_client:
    'Allow the client the grant "client_credentials", and in Descope give it a Policy for this MCP server.',
  unsupported_grant_type: 'Use a client that may use client credentials, or MCP_DESCOPE_TOKEN.',
  E011003: 'Request scopes that the MCP server has: `--scope "<scopes>"`.',
  invalid_scope: 'Request scopes that the MCP server has: `--scope "<scopes>"`.',
  invalid_target:
    'In Descope, set the MCP Server URL of the MCP server to the URL of this target, to the letter.',
}

const CODES: Readonly<Partial<Record<ErrorCode, FailureCode>>> = {
  SIGN_IN_REQUIRED: 'SIGN_IN_REQUIRED',
  SIGN_IN_FAILED: 'SIGN_IN_REQUIRED',
  CREDENTIAL_REFUSED: 'CREDENTIAL_REFUSED',
  ISSUER_UNREACHABLE: 'ISSUER_UNREACHABLE',
  TARGET_UNREACHABLE: 'TARGET_UNREACHABLE',
}

/** Makes a verdict of anything that a check throws. */
export function toVerdict(error: unknown): Verdict {
  if (error instanceof OAuthRefusedError) {
    const { code, description, kind } = error.refusal
    // Descope puts some of its codes only into the description of an OAuth error
    const known = ownMember(REFUSAL_HINTS, /\bE\d{6}\b/.exec(description ?? '')?.[0] ?? code)
    const said = description ?? ''
    const byText = /not associated with this mcp server/i.test(said)
      ? REFUSAL_HINTS['E063316']
      : code === 'E074130' && /\bresource\b|not this mcp server/i.test(said)
        ? REFUSAL_HINTS['invalid_target']
        : undefined
    const byKind = kind === 'client' ? REFUSAL_HINTS['invalid_client'] : undefined
    const hint = byText ?? known ?? byKind
    return fail(error.message, hint || error.hint || LOG_OF_ISSUER, codeOf(error))
  }
  if (error instanceof ProxyError) {
    return fail(error.message, error.hint || LOG_OF_ISSUER, codeOf(error))
  }
  return fail(
    `the check itself failed: ${messageOf(error)}`,
    'This is a bug of mcp-descope-proxy: please report it.',
  )
}

const LOG_OF_ISSUER = 'Look into the log of the authorization server.'

function codeOf({ code }: ProxyError): FailureCode {
  return CODES[code] ?? 'CHECK_FAILED'
}
