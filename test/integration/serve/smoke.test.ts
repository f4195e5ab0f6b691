import { afterAll, beforeAll, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
  stack = await startStack({
    targets: { target: { url: target.url, credential: { type: 'bearer', token: 'target-secret' } } },
  })
})
afterAll(async () => {
  await stack.close()
  await target.close()
})

it('works', async () => {
  const init = await stack.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } })
  console.log(init.status, init.headers, await init.text())
  const sid = init.headers.get('mcp-session-id')!
  const h = { 'mcp-session-id': sid, 'mcp-protocol-version': '2025-11-25' }
  console.log((await stack.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, h)).status)
  const list = await stack.post({ jsonrpc: '2.0', id: 2, method: 'tools/list' }, h)
  const body = await readMessage(list)
  console.log(JSON.stringify(body).slice(0, 600))
  const name = body.result.tools[0].name
  const call = await stack.post({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name, arguments: { text: 'hi' } } }, h)
  console.log(call.status, await call.text())
  const bare = await stack.post({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name, arguments: { text: 'hi' } } })
  console.log('without session', bare.status, await bare.text())
  console.log((await fetch(stack.url, { method: 'POST' })).headers.get('www-authenticate'))
  console.log(await (await fetch(stack.origin + '/.well-known/oauth-protected-resource/mcp')).text())
  console.log(target.requests.map((r) => [r.method, r.message?.['method'], JSON.stringify(r.headers)]))
  console.log(stack.logText())
  expect(1).toBe(1)
})
