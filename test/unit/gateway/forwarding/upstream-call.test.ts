import { expect, it } from 'vitest'
import { UpstreamCall } from '../../../../src/gateway/forwarding/upstream-call.js'
import type { AnswerListener } from '../../../../src/gateway/forwarding/upstream-send.js'
import { createTarget } from '../../../../src/gateway/target.js'
import { PendingCall } from '../../../../src/upstream/shared/pending-call.js'
import type { Upstream } from '../../../../src/upstream/upstream.js'
import { OPEN_TOOLS } from '../support.js'

it.each([
  ['an answer', 200, '{"jsonrpc":"2.0","id":1,"result":{}}'],
  ['an error', 400, '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}'],
])('%s that cannot be passed on fails the call', (_what, status, body) => {
  const upstream: Upstream = {
    send(_request, handler) {
      const call = new PendingCall(handler)
      expect(() => call.respond(status, { 'content-type': 'application/json' }, body)).toThrow('no')
    },
    close: async () => {},
  }
  const credential = { headers: () => ({}), refused: () => false }
  const target = createTarget({ name: 't', prefix: '', tools: OPEN_TOOLS }, credential, upstream)
  const failed: string[] = []
  const listener = {
    answer() {
      throw new Error('no')
    },
    failed: ({ reason }) => void failed.push(reason),
  } as Partial<AnswerListener> as AnswerListener
  const caller = { principal: undefined, accessToken: undefined }
  const send = { target, caller, method: 'POST', headers: [], id: 1 } as const
  new UpstreamCall({ ...send, inSession: false, timeoutMs: 0 }, listener).start()
  expect(failed).toEqual(['its answer is of no use: no'])
})
