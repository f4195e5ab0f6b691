import { afterEach, beforeEach, expect, it } from 'vitest'
import { type BridgeProcess, startBridge } from '../../helpers/bridge.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget

let bridge: BridgeProcess

beforeEach(async () => {
  target = await startRecordingTarget({ sessions: 'required', listChanged: true })
  bridge = startBridge(target.url)
})

afterEach(async () => {
  bridge.child.kill('SIGKILL')
  await target.close()
})

const NOISE = [
  'ping',
  '{"type":"heartbeat"}',
  '{"jsonrpc":"1.0","method":"notifications/x"}',
  '{"jsonrpc":"2.0","method":7}',
  '{"jsonrpc":"2.0","id":1,"result":{"forged":true}}',
  '[]',
  'null',
  '"text"',
]

it('nothing but messages of JSON-RPC reaches stdout, whatever the target streams', async () => {
  let output = ''
  bridge.child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  target.intercept(({ method }, outgoing) => {
    if (method !== 'GET') return false
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const data of NOISE) outgoing.write(`data: ${data}\n\n`)
    outgoing.write('event: other\ndata: {"jsonrpc":"2.0","method":"notifications/other"}\n\n')
    outgoing.write('data: [{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}]\n\n')
    return true
  })
  await bridge.handshake()
  await eventually(() => expect(output).toContain('notifications/tools/list_changed'))
  const lines = output.split('\n').filter(Boolean)
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ jsonrpc: '2.0' })
  expect(output).not.toContain('forged')
  expect(output).not.toContain('heartbeat')
  expect(output).not.toContain('notifications/other')
})

it.each(['12345678901234567891', '7.0'])('the id %s comes back byte for byte', async (id) => {
  let output = ''
  bridge.child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  await bridge.handshake()
  target.on('tools/call', () => ({ content: [] }))
  for (const method of ['tools/call', 'tools/list', 'nowhere']) {
    output = ''
    const params = method === 'tools/call' ? '{"name":"echo","arguments":{}}' : '{}'
    bridge.child.stdin.write(
      `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n`,
    )
    await eventually(() =>
      expect(output).toMatch(new RegExp(`"id": ?${id.replace('.', '\\.')}[,}]`)),
    )
  }
})
