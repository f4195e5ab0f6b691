import { describe, expect, it } from 'vitest'
import { createBacklog } from '../../../src/bridge/host.js'
import { createStreamListener } from '../../../src/bridge/notification-stream.js'
import { MessageReply, OpenRequests } from '../../../src/bridge/requests.js'
import { resumeAnswer } from '../../../src/bridge/resume-request.js'
import type { TargetFailure } from '../../../src/gateway/forwarding/target-failure.js'
import { mayOpenLater } from '../../../src/gateway/streams/merged-stream.js'
import { parseMessageText } from '../../../src/mcp/message.js'
import { createLogger } from '../../../src/util/logger.js'
import { createManualClock } from '../../helpers/runtime.js'

const HOST = { isBehind: false, send() {}, whenReady: (callback: () => void) => callback() }

/** A target that refuses each stream it is asked for, and counts how often it is. */
function refusing(failure: Partial<TargetFailure>) {
  let asked = 0
  return {
    asked: () => asked,
    listen(...[reply, , intercept]: Parameters<StreamListenerLink>) {
      asked += 1
      // as over the network, the refusal comes after the call
      queueMicrotask(() =>
        intercept({ cause: 'http_status', target: 't', reason: 'x', ...failure }),
      )
      return new MessageReply(reply, HOST)
    },
  }
}

type StreamListenerLink = Parameters<typeof createStreamListener>[0]['gatewayClient']['listen']

async function listensAgain(failure: Partial<TargetFailure>): Promise<boolean> {
  const clock = createManualClock()
  const gatewayClient = refusing(failure)
  const logger = createLogger({
    io: { err() {} },
    clock,
    level: 'silent',
    format: 'text',
    redact: (text) => text,
  })
  const options = { clock, random: () => 0, host: HOST, logger, gatewayClient, onSessionLost() {} }
  const listener = createStreamListener(options)
  listener.start()
  await clock.advance(2_000)
  return gatewayClient.asked() > 1
}

async function resumesAgain(failure: Partial<TargetFailure>): Promise<boolean> {
  const clock = createManualClock()
  const gatewayClient = refusing(failure)
  const requests = new OpenRequests(HOST, createBacklog())
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}'
  const request = requests.add(parseMessageText(call))
  resumeAnswer({ clock, gatewayClient, host: HOST, requests }, request, '7', undefined)
  await clock.advance(2_000)
  return gatewayClient.asked() > 1
}

describe('a stream that a target refuses', () => {
  it.each<[boolean, Partial<TargetFailure>]>([
    ...[408, 409, 425, 429, 500, 501, 502, 503, 504, 520].map(
      (httpStatus): [boolean, Partial<TargetFailure>] => [true, { httpStatus }],
    ),
    ...[301, 400, 404, 405, 406, 410, 413, 415, 422].map(
      (httpStatus): [boolean, Partial<TargetFailure>] => [false, { httpStatus }],
    ),
    [true, { cause: 'unreachable' }],
    [true, { cause: 'timeout' }],
    [true, { cause: 'cut_off' }],
    [false, { cause: 'invalid_answer', httpStatus: 200 }],
    [false, { cause: 'session_required', httpStatus: 400 }],
    [false, { cause: 'refused_credential', httpStatus: 403 }],
  ])('is asked for again: %j after %j, whoever asked', async (isAgain, failure) => {
    expect(await listensAgain(failure)).toBe(isAgain)
    expect(await resumesAgain(failure)).toBe(isAgain)
    const whole = { cause: 'http_status', target: 't', reason: 'x', ...failure } as const
    expect(mayOpenLater(whole)).toBe(isAgain)
  })
})
