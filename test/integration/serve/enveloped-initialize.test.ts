import { afterAll, beforeAll, expect, it } from 'vitest'
import { envelope } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type SdkV2Target, startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

let dual: SdkV2Target
let modernOnly: SdkV2Target
const stacks: Record<string, Stack> = {}
beforeAll(async () => {
  dual = await startSdkV2Target()
  modernOnly = await startSdkV2Target({ legacy: 'reject' })
  stacks['a target of both eras'] = await startStack({ targets: { target: dual.url } })
  stacks['a target of the stateless era'] = await startStack({
    targets: { target: modernOnly.url },
  })
  stacks['several targets'] = await startStack({
    targets: { target: dual.url, other: modernOnly.url },
  })
})
afterAll(async () => {
  for (const stack of Object.values(stacks)) await stack.close()
  await dual.close()
  await modernOnly.close()
})

// some clients put the envelope of 2026-07-28 around the `initialize` that follows their probe
it.each(['a target of both eras', 'a target of the stateless era', 'several targets'])(
  'an initialize in the envelope of 2026-07-28 opens a session of the older era before %s',
  async (name) => {
    const stack = stacks[name] as Stack
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'client', version: '1' },
      _meta: { ...envelope(), progressToken: 'p' },
    }
    const response = await stack.post(
      { jsonrpc: '2.0', id: 1, method: 'initialize', params },
      { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'initialize' },
    )
    const session = response.headers.get('mcp-session-id')
    expect(await readMessage(response)).toMatchObject({
      result: { protocolVersion: '2025-11-25' },
    })
    const call = {
      jsonrpc: '2.0',
      id: 2,
      method: 'tools/call',
      params: { name: 'target_echo', arguments: { text: 'x' } },
    }
    const headers: Record<string, string> = { 'mcp-protocol-version': '2025-11-25' }
    if (session !== null) headers['mcp-session-id'] = session
    expect(await readMessage(await stack.post(call, headers))).toHaveProperty('result.content')
  },
)
