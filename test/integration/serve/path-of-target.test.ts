import { expect, it } from 'vitest'
import { startStack } from '../../helpers/stack.js'
import { send } from '../../helpers/targets/raw-client.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const ODD = [
  '../../admin',
  '/etc/passwd',
  '%2e%2e%2f',
  '?key=1',
  'a#b',
  'http://127.0.0.1:1/',
  '@x',
]

it.each([1, 2])(
  'reaches the path and the query that are configured, whatever a client names: %i targets',
  async (count) => {
    const target = await startRecordingTarget({ sessions: 'none' })
    const url = `${target.url}?tenant=acme`
    const targets = { t: { url }, ...(count === 2 && { other: { url } }) }
    const stack = await startStack({ targets })
    const headers = { authorization: `Bearer ${await stack.token()}` }
    for (const odd of ODD) {
      const asked = [
        ['tools/call', { name: count === 1 ? odd : `t_${odd}`, arguments: { path: odd } }],
        ['resources/read', { uri: count === 1 ? odd : `file://t/${odd}` }],
        ['prompts/get', { name: odd }],
        [odd, { cursor: odd }],
      ] as const
      for (const [method, params] of asked) {
        await stack.post({ jsonrpc: '2.0', id: odd, method, params })
      }
      // as an address the text would be no request; a query is one for everybody
      const query = `?next=${encodeURIComponent(odd)}&tenant=other`
      const body = { jsonrpc: '2.0', id: 1, method: 'ping' }
      expect((await send(stack.url + query, { headers, body })).status).toBe(200)
    }
    const paths = new Set(target.requests.map((request) => request.url))
    expect([...paths]).toEqual(['/mcp?tenant=acme'])
    await stack.close()
    await target.close()
  },
)
