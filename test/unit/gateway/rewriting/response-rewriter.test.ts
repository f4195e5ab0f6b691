import { expect, it } from 'vitest'
import type { GatewayContext } from '../../../../src/gateway/context.js'
import type { Request } from '../../../../src/gateway/request.js'
import { createResponseRewriter } from '../../../../src/gateway/rewriting/response-rewriter.js'
import { createNames } from '../../../../src/gateway/routing/names.js'
import { parseMessageText } from '../../../../src/mcp/message.js'
import { target } from '../support.js'

it.each([
  [true, [true, false]],
  [false, [false, false]],
])('knows what may be repeated as the last list says, where calls are (%j)', (reopens, known) => {
  const only = target('t')
  const rewriter = createResponseRewriter({
    targets: [only],
    names: createNames([only], 56),
    reopenSessions: reopens,
  } as Partial<GatewayContext> as GatewayContext)
  const request = { exchange: { caller: { principal: undefined } } } as unknown as Request
  const list = parseMessageText('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
  const said = [true, false].map((idempotentHint) => {
    const tools = [{ name: 'write', annotations: { idempotentHint } }]
    const answer = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } })
    rewriter.rewritesFor(request, list, only).response?.(Buffer.from(answer))
    return rewriter.isIdempotent(only, 'write')
  })
  expect(said).toEqual(known)
})
