import { ERROR_CODES, resultResponse, writtenResponse } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { OWN_INFO } from '../../mcp/meta.js'
import { negotiateVersion, olderVersion } from '../../mcp/versions.js'
import { isObject, type JsonObject, ownMember } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { replyError, replyFailure } from '../exchange.js'
import type { Request } from '../request.js'
import { withoutTasks } from '../rewriting/withheld.js'
import type { Target } from '../target.js'
import { joinInstructions, mergeCapabilities, NEEDS_STREAM } from './capabilities.js'
import { closeAllOf, issueSession, leaveUnusable, type Opening } from './issue-session.js'
import { initializeTarget, type Opened } from './target-session.js'

/**
 * Answers `initialize` from all targets. A single target's answer is passed on unchanged; several are
 * merged, and a target that is down gets its session when it is needed. A session id is issued only
 * when a target issued one.
 */
export async function initialize(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { targets, timeouts } = context
  const id = message.id as string | number
  const timeoutMs = targets.length === 1 ? timeouts.answer : timeouts.list
  const answers = await Promise.all(
    targets.map((target) =>
      initializeTarget(context, request, target, {
        body: message.text,
        id,
        timeoutMs,
        pending: request.pending,
      }),
    ),
  )
  const opened: Opening[] = []
  const hasLeft = request.pending?.hasLeft
  answers.forEach((answer, index) => {
    const target = targets[index] as Target
    if (answer.ok) {
      opened.push({ target, session: answer.session, result: answer.result, text: answer.text })
    } else if (!hasLeft) reportRefusal(context, request, target, answer)
  })
  if (hasLeft) return void closeAllOf(context, request, opened)
  const usable = leaveUnusable(context, request, opened)
  if (usable.length === 0) return replyRefused(request, message, answers)
  const { principal } = request.exchange.caller
  const merge = (opening: readonly Opening[]) => {
    const from = opening.map((it) =>
      context.boundIds.withholds(it.target, principal)
        ? { ...it, result: withoutTasks(it.result) }
        : it,
    )
    const only = targets.length === 1 ? from[0] : undefined
    const result = only?.result ?? mergeResults(context, message.params, from)
    if (context.boundIds.keepsAll(principal)) return result
    return withoutTaskList(result)
  }
  const { result, headers } = issueSession(context, request, message.params, usable, merge)
  const [first] = usable
  // what is one target's own stays as it wrote it
  const isAsSent = targets.length === 1 && result === first?.result
  const text = isAsSent ? writtenResponse(id, first.text) : resultResponse(id, result)
  request.exchange.reply.json(200, text, headers)
}

/** Takes the task list away where it would show other callers' tasks, or those of one target only. */
function withoutTaskList(result: JsonObject): JsonObject {
  const capabilities = ownMember(result, 'capabilities')
  const tasks = isObject(capabilities) ? ownMember(capabilities, 'tasks') : undefined
  if (!isObject(capabilities) || !isObject(tasks) || !('list' in tasks)) return result
  const { list: _list, ...others } = tasks
  return { ...result, capabilities: { ...capabilities, tasks: others } }
}

function reportRefusal(
  { logger }: GatewayContext,
  { exchange }: Request,
  target: Target,
  answer: Opened & { ok: false },
): void {
  if ('failure' in answer) exchange.leftOut?.(answer.failure)
  const reason = 'failure' in answer ? answer.failure.reason : 'it refused initialize'
  logger.warn('target_unavailable', `Target "${target.name}" is left out: ${reason}`, {
    target: target.name,
  })
}

function replyRefused({ exchange }: Request, { id }: Message, answers: readonly Opened[]): void {
  for (const answer of answers) {
    if (answer.ok) continue
    if ('failure' in answer) {
      return replyFailure(exchange, id, answer.failure)
    }
    exchange.record.outcome = 'rpc_error'
    return exchange.reply.json(answer.refusal.status, answer.refusal.text)
  }
  replyError(exchange, id, ERROR_CODES.internalError, 'No target')
}

function mergeResults(
  { offersStreams }: GatewayContext,
  params: JsonObject,
  opened: readonly Opening[],
): JsonObject {
  let version = negotiateVersion(params['protocolVersion'])
  const unavailable = offersStreams ? undefined : NEEDS_STREAM
  for (const { session } of opened) version = olderVersion(version, session.version)
  const sent = opened.map(({ result }) => ownMember(result, 'capabilities'))
  const capabilities = mergeCapabilities(sent, unavailable)
  const merged: JsonObject = {
    protocolVersion: version,
    capabilities,
    serverInfo: OWN_INFO,
  }
  const instructions = joinInstructions(opened)
  if (instructions !== undefined) merged['instructions'] = instructions
  return merged
}
