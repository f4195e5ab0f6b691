import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const LIMIT = 8_000_000

let target: RecordingTarget
let other: RecordingTarget
let stack: Stack
let several: Stack
beforeAll(async () => {
  target = await startRecordingTarget()
  other = await startRecordingTarget()
  const config = { limits: { bodyBytes: LIMIT } }
  stack = await startStack({ targets: { target: target.url }, config })
  several = await startStack({ targets: { target: target.url, other: other.url }, config })
})
beforeEach(() => {
  target.clear()
  target.on('tools/call', (params) => ({ content: [], echo: params['arguments'] }))
})
afterAll(async () => {
  await stack.close()
  await several.close()
  await target.close()
  await other.close()
})

const call = (args: string, id: unknown = 1) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"tools/call","params":{"name":"target_echo","arguments":${args}}}`

const headers = async () => ({ authorization: `Bearer ${await stack.token()}` })

describe('a body that two parsers could read differently', () => {
  const GOOD = call('{}')
  it.each([
    ['that is empty', '', -32700],
    ['that is not JSON', '{"jsonrpc":', -32700],
    ['with something behind it', `${GOOD} {}`, -32700],
    ['with a byte order mark', `\ufeff${GOOD}`, -32700],
    ['that is a string', '"tools/call"', -32600],
    ['that is null', 'null', -32600],
    ['that is a batch', `[${GOOD}]`, -32600],
    ['that is an empty batch', '[]', -32600],
    ['with a member twice', GOOD.replace('"id":1', '"id":1,"id":2'), -32600],
    ['with its params twice', GOOD.replace('"params"', '"params":{},"params"'), -32600],
    ['with an escaped name twice', GOOD.replace('"name"', '"n\\u0061me":"x","name"'), -32600],
    ['with a name in another case', GOOD.replace('"name"', '"Name"'), -32600],
    [
      'with two names that differ in case',
      GOOD.replace('"name"', '"NAME":"target_x","name"'),
      -32600,
    ],
    ['with its method in another case', GOOD.replace('"method"', '"Method"'), -32600],
    ['with too deep a value', call('['.repeat(200) + ']'.repeat(200)), -32600],
    ['of another version', GOOD.replace('"2.0"', '"1.0"'), -32600],
    ['without a version', GOOD.replace('"jsonrpc":"2.0",', ''), -32600],
    ['with the id null', GOOD.replace('"id":1', '"id":null'), -32600],
    ['with an object as id', GOOD.replace('"id":1', '"id":{}'), -32600],
    ['with a list as params', GOOD.replace(/"params":.*/, '"params":["target_echo"]}'), -32600],
    ['with a number as method', GOOD.replace('"tools/call"', '7'), -32600],
    [
      'whose method stands in a prototype only',
      '{"jsonrpc":"2.0","id":1,"__proto__":{"method":"ping"}}',
      -32600,
    ],
  ])('%s is refused', async (_title, body, code) => {
    const response = await stack.post(body)
    expect(response.status).toBe(400)
    expect((await readMessage(response)).error.code).toBe(code)
    expect(target.requests).toHaveLength(0)
  })

  it('that is not UTF-8 is refused', async () => {
    const body = Buffer.concat([
      Buffer.from(call('{"x":"')),
      Buffer.from([0xff, 0xc3, 0x28]),
      Buffer.from('"}'),
    ])
    const response = await fetch(stack.url, {
      method: 'POST',
      headers: { ...(await headers()), 'content-type': 'application/json' },
      body,
    })
    expect(response.status).toBe(400)
    expect((await readMessage(response)).error.code).toBe(-32700)
    expect(target.requests).toHaveLength(0)
  })

  it('names the request that is refused wherever its id can be read', async () => {
    const body = call('{}', 'q-9').replace('"2.0"', '"1.0"')
    expect((await readMessage(await stack.post(body))).id).toBe('q-9')
  })

  it('is refused for its own members only: arguments may say what they like', async () => {
    const args = '{"Name":1,"name":2,"METHOD":3,"__proto__":{"x":1},"constructor":4}'
    expect((await stack.post(call(args))).status).toBe(200)
    expect(target.of('tools/call')[0]?.body).toContain(args)
  })
})

describe.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
  'the method %s',
  (method) => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"${method}"}`

    it('is for a single target to judge', async () => {
      await stack.post(body)
      expect(target.requests.map((request) => request.body)).toEqual([body])
    })

    it('is unknown to several targets', async () => {
      const { error } = await readMessage(await several.post(body))
      expect(error.code).toBe(-32601)
    })
  },
)

describe('a body', () => {
  it('larger than the limit is refused by its announced length', async () => {
    const response = await stack.post('x'.repeat(LIMIT + 1))
    expect(response.status).toBe(413)
    expect(target.requests).toHaveLength(0)
  })

  it('larger than the limit is refused while it comes, when no length was announced', async () => {
    const authorization = (await headers()).authorization
    const { port } = stack.server
    const status = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(
          `POST /mcp HTTP/1.1\r\nHost: localhost:${port}\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
        )
        const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000, 'x')])
        for (let sent = 0; sent <= LIMIT; sent += 0x100000) {
          socket.write(chunk)
          socket.write('\r\n')
        }
      })
      socket.once('data', (data) => {
        resolve(data.toString().slice(9, 12))
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(status).toBe('413')
    expect(target.requests).toHaveLength(0)
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json-patch+json',
  ])('of type %s is refused', async (type) => {
    expect((await stack.post(call('{}'), { 'content-type': type })).status).toBe(415)
    expect(target.requests).toHaveLength(0)
  })

  it('of type "Application/JSON; charset=utf-8" passes', async () => {
    const type = { 'content-type': 'Application/JSON; charset=utf-8' }
    expect((await stack.post(call('{}'), type)).status).toBe(200)
  })

  it.each(['GET', 'DELETE'])('on %s is refused', async (method) => {
    const { port } = stack.server
    const { authorization } = await headers()
    for (const framing of [
      'Content-Length: 2\r\n\r\n{}',
      'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      const status = await new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(
            `${method} /mcp HTTP/1.1\r\nHost: localhost:${port}\r\nAuthorization: ${authorization}\r\n${framing}`,
          )
        })
        socket.once('data', (data) => {
          resolve(data.toString().slice(9, 12))
          socket.destroy()
        })
        socket.once('error', reject)
      })
      expect(status).toBe('400')
    }
    expect(target.requests).toHaveLength(0)
  })
})

describe('a call', () => {
  it('reaches the target byte for byte but for its name', async () => {
    const odd = '{ "n":12345678901234567890,"e":1e400,"z":-0,"f":1.0,"s":"\\u00e9\\/" , "a":[ ] }'
    await stack.post(call(odd))
    expect(target.of('tools/call')[0]?.body).toBe(call(odd).replace('target_echo', 'echo'))
  })

  it('may write its name with escapes', async () => {
    await stack.post(call('{}').replace('target_echo', 't\\u0061rget_\\u0065cho'))
    expect(target.of('tools/call')[0]?.message).toMatchObject({ params: { name: 'echo' } })
  })

  it.each([100_000, 5_000_000])('may be %i bytes large, and its answer too', async (bytes) => {
    const text = 'é"\\x'.repeat(bytes / 5)
    const { result } = await readMessage(await stack.post(call(JSON.stringify({ text }))))
    expect(result.echo.text).toBe(text)
  })

  it.each([0, -1, 1.5, 9007199254740991, '', 'ü-1', '1'])(
    'with the id %j is answered under it',
    async (id) => {
      expect((await readMessage(await stack.post(call('{}', id)))).id).toBe(id)
    },
  )

  it('without a name is refused by us', async () => {
    const { error } = await readMessage(await stack.post(call('{}').replace('"target_echo"', '7')))
    expect(error.code).toBe(-32602)
    expect(target.requests).toHaveLength(0)
  })
})

it('what a client sends makes no log record grow', async () => {
  await stack.post(`{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(100_000)}"}`)
  await stack.post(call('{}').replace('target_echo', `target_${'n'.repeat(100_000)}`))
  const longest = Math.max(
    ...stack
      .logText()
      .split('\n')
      .map((line) => line.length),
  )
  expect(longest).toBeLessThan(2_000)
})
