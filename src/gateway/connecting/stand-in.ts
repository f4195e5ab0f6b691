import { randomBytes } from 'node:crypto'
import type { Connectable, TargetCredential } from '../../auth/credentials/credential.js'
import {
  ERROR_CODES,
  errorResponse,
  notificationText,
  type RequestId,
  resultResponse,
  type WireError,
} from '../../mcp/jsonrpc.js'
import { META, OWN_INFO } from '../../mcp/meta.js'
import { negotiateVersion, SESSION_BASED_VERSIONS, STATELESS_VERSION } from '../../mcp/versions.js'
import { PendingCall } from '../../upstream/shared/pending-call.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import {
  isObject,
  type JsonObject,
  objectMember,
  ownMember,
  tryParseJson,
} from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import { listKind } from '../lists/lists.js'
import {
  ACKNOWLEDGED,
  endOfSubscription,
  missedChanges,
  tagged,
} from '../streams/subscription-filter.js'
import { type InPlaceRequest, type StandIn, standInSession } from './in-place.js'
import { createKeptLists, pageKey } from './kept-lists.js'
import { connectWords, createLinks } from './links.js'
import {
  answerInPlace,
  type ConnectTurn,
  INPUT_KEY,
  opensUrls,
  ownInput,
  readTurn,
  withoutOwnInput,
} from './turn.js'

/** How long a call that comes back from the page waits until the user is done there, milliseconds. */
const RETURN_MS = 40_000

const LINK_CHANGES = {
  toolsListChanged: true,
  promptsListChanged: true,
  resourcesListChanged: true,
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
}

/** Requests that a server of the stateless protocol may answer by requesting input. */
const TAKES_INPUT: ReadonlySet<unknown> = new Set(['tools/call', 'prompts/get', 'resources/read'])

export interface StandInOptions {
  readonly clock: Clock
  readonly logger: Pick<Logger, 'info' | 'warn'>
  /** Name of the target. */
  readonly target: string
  readonly credential: TargetCredential
}

/** Creates the stand-in of a target whose callers connect first; `undefined` for any other target. */
export function createStandIn(options: StandInOptions): StandIn | undefined {
  const { connect } = options.credential
  return connect && standInFor(options, connect)
}

/**
 * Creates a server that answers while a caller has not connected yet: it lists what was last listed for
 * this caller, else one tool, and answers whatever needs the target with the link to connect.
 */
function standInFor(
  { clock, logger, target, credential }: StandInOptions,
  connect: Connectable,
): StandIn {
  const words = connectWords(target, connect.app, connect.by)
  const kept = createKeptLists(clock)
  const links = createLinks(clock, credential)

  function reply({ call, message, isStateless }: ConnectTurn, result: JsonObject): void {
    const id = message['id'] as RequestId
    const whole = isStateless
      ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...result }
      : result
    answerInPlace(call, resultResponse(id, whole))
  }

  function refuse({ call, message }: ConnectTurn, error: WireError): void {
    answerInPlace(call, errorResponse(message['id'] as RequestId, error))
  }

  function initialize(turn: ConnectTurn): void {
    const { call, message, params } = turn
    const result = {
      protocolVersion: negotiateVersion(params['protocolVersion']),
      capabilities: CAPABILITIES,
      serverInfo: OWN_INFO,
      instructions: words.instructions,
    }
    const session = standInSession(randomBytes(12).toString('base64url'))
    answerInPlace(call, resultResponse(message['id'] as RequestId, result), {
      'mcp-session-id': session,
    })
  }

  function list(turn: ConnectTurn, method: string): void {
    const { request, message } = turn
    const key = pageKey(request, message)
    const known = key === undefined ? undefined : kept.find(key, method)
    if (known !== undefined) return reply(turn, known)
    const member = listKind(method)?.member ?? ''
    const isFirst = turn.params['cursor'] === undefined
    reply(turn, { [member]: method === 'tools/list' && isFirst ? [words.tool] : [] })
  }

  /** Answers what only the target could: with the link, in the way that this client can show best. */
  async function offerLink(turn: ConnectTurn, isStillOpen = false): Promise<void> {
    const { request, call, message } = turn
    const { method } = message
    if (connect.by === 'tenant') return sayInstead(turn, words.tenant)
    let url: string
    try {
      url = await connect.link(request.caller)
    } catch (error) {
      const text = sentence(error)
      logger.warn('connect_link_refused', `Target "${target}": ${text}`, { target })
      return sayInstead(turn, text)
    }
    if (call.isOver) return
    const elicitationId = links.note(request.caller)
    logger.info(
      'connect_link',
      `Target "${target}": a caller was given the link to connect ${JSON.stringify(connect.app)}`,
      { target },
    )
    const shown = { mode: 'url', url, message: words.prompt }
    if (isStillOpen || !opensUrls(turn))
      return sayInstead(turn, words.withLink(url, isStillOpen), url)
    if (!turn.isStateless) {
      const data = { elicitations: [{ ...shown, elicitationId }] }
      return refuse(turn, { code: ERROR_CODES.urlElicitationRequired, message: words.prompt, data })
    }
    if (!TAKES_INPUT.has(method)) return sayInstead(turn, words.withLink(url), url)
    const inputRequests = { [INPUT_KEY]: { method: 'elicitation/create', params: shown } }
    const result = { resultType: 'input_required', inputRequests }
    answerInPlace(call, resultResponse(message['id'] as RequestId, result))
  }

  /** A tool's result reaches the model; for anything else there is only the error. */
  function sayInstead(turn: ConnectTurn, text: string, url?: string): void {
    const { message, params } = turn
    if (message['method'] === 'tools/call' && params['task'] === undefined) {
      return reply(turn, { content: [{ type: 'text', text }], isError: true })
    }
    const data = { target, cause: 'refused_credential', ...(url !== undefined && { url }) }
    refuse(turn, { code: ERROR_CODES.internalError, message: `Target "${target}": ${text}`, data })
  }

  /** Goes on with a call whose user was sent to the page before. */
  function comeBack(turn: ConnectTurn, answer: JsonObject, goOn: () => void): void {
    if (answer['action'] !== 'accept') return sayInstead(turn, words.declined)
    const { call, request } = turn
    const end = () => {
      stop()
      cancel()
    }
    const stop = links.watch(request.caller, () => {
      cancel()
      call.onOver = () => {}
      goOn()
    })
    const cancel = clock.after(RETURN_MS, () => {
      end()
      void offerLink(turn, true)
    })
    call.onOver = end
  }

  /** Opens a stream that tells when the caller is connected, and then ends: the target's own follows. */
  function openStream(
    { request, call }: Pick<ConnectTurn, 'request' | 'call'>,
    onConnected: () => void,
  ): void {
    const stop = links.watch(request.caller, () => {
      onConnected()
      call.end()
    })
    call.onOver = stop
  }

  function listen(request: InPlaceRequest, call: PendingCall): void {
    call.openStream()
    openStream({ request, call }, () => {
      for (const elicitationId of links.elicitationsOf(request.caller)) {
        call.event(notificationText('notifications/elicitation/complete', { elicitationId }))
      }
      for (const kind of ['tools', 'prompts', 'resources']) {
        call.event(notificationText(`notifications/${kind}/list_changed`))
      }
    })
  }

  function subscribe(turn: ConnectTurn): void {
    const { call, message, params } = turn
    const id = message['id'] as RequestId
    const wanted = objectMember(params, 'notifications') ?? {}
    const accepted = Object.fromEntries(
      Object.entries(LINK_CHANGES).filter(([name]) => ownMember(wanted, name) === true),
    )
    call.event(tagged(notificationText(ACKNOWLEDGED, { notifications: accepted }), id))
    openStream(turn, () => {
      for (const change of missedChanges(accepted)) call.event(tagged(change, id))
      call.write(Buffer.from(endOfSubscription(id)))
    })
  }

  function answerRequest(turn: ConnectTurn, goOn: () => void): void {
    const method = String(turn.message['method'])
    switch (method) {
      case 'initialize':
        return initialize(turn)
      case 'server/discover':
        return reply(turn, {
          supportedVersions: [STATELESS_VERSION, ...SESSION_BASED_VERSIONS],
          capabilities: CAPABILITIES,
          instructions: words.instructions,
          _meta: { [META.serverInfo]: OWN_INFO },
        })
      case 'ping':
      case 'logging/setLevel':
        return reply(turn, {})
      case 'completion/complete':
        return reply(turn, { completion: { values: [] } })
      case 'subscriptions/listen':
        return subscribe(turn)
    }
    if (listKind(method) !== undefined) return list(turn, method)
    const answered = ownInput(turn.params)
    if (answered !== undefined) return comeBack(turn, answered, goOn)
    void offerLink(turn)
  }

  function isForConnectTool(request: InPlaceRequest): boolean {
    const { body, id } = request
    const { name } = words.tool
    if (typeof body !== 'string' || !body.includes(name) || id === undefined) return false
    const message = tryParseJson(body)
    const isCall = isObject(message) && message['method'] === 'tools/call'
    // the target may have a tool of that name itself
    return (
      isCall && objectMember(message, 'params')?.['name'] === name && !kept.lists(request, name)
    )
  }

  return {
    tool: words.tool,

    answer(request, handler, goOn) {
      const call = new PendingCall(handler)
      if (request.method === 'DELETE') return call.respond(200, {})
      if (request.method === 'GET') return listen(request, call)
      const turn = readTurn(request, call)
      if (request.id === undefined) return call.respond(202, {})
      answerRequest(turn, goOn)
    },

    takes(request, handler, isOursAlone) {
      if (!isOursAlone && !isForConnectTool(request)) return false
      const text = words.connected
      reply(readTurn(request, new PendingCall(handler)), { content: [{ type: 'text', text }] })
      return true
    },

    bodyFor(body) {
      if (typeof body !== 'string' || !body.includes(INPUT_KEY)) return body
      return withoutOwnInput(body)
    },

    keeperFor(request) {
      const text = request.body?.toString() ?? ''
      if (!text.includes('/list"')) return undefined
      const message = tryParseJson(text)
      const key = isObject(message) ? pageKey(request, message) : undefined
      return key === undefined ? undefined : (answer) => kept.keep(key, answer)
    },
  }
}

function sentence(error: unknown): string {
  if (!(error instanceof ProxyError)) return messageOf(error)
  return error.hint === undefined ? error.message : `${error.message} — ${error.hint}`
}
