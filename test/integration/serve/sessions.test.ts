import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure, tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { call as post, send } from '../../helpers/targets/raw-client.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'
const PUBLIC = 'http://localhost:8123'

let plain: RecordingTarget
let stateful: RecordingTarget
/** One stateful target. */
let single: Stack
/** A sessionless one and a stateful one. */
let several: Stack
beforeAll(async () => {
  plain = await startRecordingTarget({ tools: [tool('echo')] })
  stateful = await startRecordingTarget({ sessions: 'required', tools: [tool('echo')] })
  const config = { session: { secret: SECRET }, server: { publicUrl: PUBLIC } }
  single = await startStack({ targets: { target: stateful.url }, config })
  several = await startStack({ targets: { a: plain.url, b: stateful.url }, config })
})
beforeEach(() => {
  for (const target of [plain, stateful]) {
    target.clear()
    target.intercept(undefined)
    target.on('tools/call', () => ({ content: [] }))
  }
})
afterAll(async () => {
  await Promise.all([single.close(), several.close()])
  await Promise.all([plain.close(), stateful.close()])
})

const clientInfo = { name: 'c', version: '1' }
const HELLO = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: { roots: {} }, clientInfo },
}
const callOf = (name: string) => ({
  jsonrpc: '2.0',
  id: 'c-1',
  method: 'tools/call',
  params: { name, arguments: {} },
})

async function open(at: Stack, headers: Record<string, string> = {}) {
  const response = await at.post(HELLO, headers)
  expect(response.status).toBe(200)
  await response.text()
  const id = response.headers.get('mcp-session-id') ?? ''
  return { ...headers, 'mcp-session-id': id }
}

describe('a session id', () => {
  it('is sealed: it shows nothing of the targets, and differs each time', async () => {
    const { 'mcp-session-id': first } = await open(single)
    const { 'mcp-session-id': second } = await open(single)
    expect(first).toMatch(/^v1\.[A-Za-z0-9_-]{40,}$/)
    expect(first).not.toBe(second)
    for (const id of stateful.sessions) {
      expect(Buffer.from(first.slice(3), 'base64url').toString()).not.toContain(id)
    }
  })

  it('is not issued where no target issued one', async () => {
    const stack = await startStack({ targets: { target: plain.url } })
    try {
      expect((await open(stack))['mcp-session-id']).toBe('')
      expect((await stack.post(callOf('target_echo'))).status).toBe(200)
      expect(plain.of('tools/call')[0]?.sessionId).toBeUndefined()
    } finally {
      await stack.close()
    }
  })

  it('becomes the id that the target gave, with the version that it negotiated', async () => {
    const headers = await open(single)
    const given = [...stateful.sessions].at(-1)
    await single.post(callOf('target_echo'), headers)
    expect(stateful.of('tools/call')[0]?.headers).toMatchObject({
      'mcp-session-id': given,
      'mcp-protocol-version': '2025-11-25',
    })
  })

  it('names only the stateful one of several targets', async () => {
    const headers = await open(several)
    await several.post(callOf('a_echo'), headers)
    await several.post(callOf('b_echo'), headers)
    expect(plain.of('tools/call')[0]?.sessionId).toBeUndefined()
    expect(stateful.of('tools/call')[0]?.sessionId).toMatch(/^session-/)
  })

  it('[mcp-session-delete] ends at the target with DELETE, and is then not found', async () => {
    const headers = await open(single)
    const given = [...stateful.sessions].at(-1) ?? ''
    const authorization = `Bearer ${await single.token()}`
    const ended = await send(single.url, {
      method: 'DELETE',
      headers: { ...headers, authorization },
    })
    expect(ended.status).toBe(200)
    expect(stateful.sessions.has(given)).toBe(false)
    expect((await single.post(callOf('target_echo'), headers)).status).toBe(404)
  })

  it('[mcp-session-delete] stays ended among several, where a lost one would be opened again', async () => {
    const headers = await open(several)
    const authorization = `Bearer ${await several.token()}`
    const end = () =>
      send(several.url, { method: 'DELETE', headers: { ...headers, authorization } })
    expect((await end()).status).toBe(200)
    stateful.clear()
    for (const name of ['a_echo', 'b_echo']) {
      expect((await several.post(callOf(name), headers)).status).toBe(404)
    }
    expect((await end()).status).toBe(404)
    expect(stateful.requests).toHaveLength(0)
    expect((await several.post(callOf('b_echo'), await open(several))).status).toBe(200)
  })

  it.each([
    ['2025-06-18', 200],
    ['2025-11-25', 200],
    ['1999-01-01', 400],
    ['nonsense', 400],
  ] as const)(
    '[mcp-version-header] takes a request that claims version %s: %d',
    async (version, status) => {
      const headers = { ...(await open(single)), 'mcp-protocol-version': version }
      expect((await single.post(callOf('target_echo'), headers)).status).toBe(status)
    },
  )

  it('stays out of the log', async () => {
    const headers = await open(single)
    await single.post(callOf('target_echo'), headers)
    expect(single.logText()).not.toContain(headers['mcp-session-id'].slice(3, 40))
    for (const id of stateful.sessions) expect(single.logText()).not.toContain(id)
  })
})

describe('a session is not found', () => {
  it.each([
    ['of another user', { sub: 'Uanother' }],
    ['of another tenant', { dct: 'Tanother' }],
  ])('%s, on any verb', async (_title, claims) => {
    const headers = await open(several)
    const authorization = `Bearer ${await several.token(claims)}`
    stateful.clear()
    plain.clear()
    for (const method of ['POST', 'GET', 'DELETE']) {
      const body = method === 'POST' ? callOf('b_echo') : undefined
      const answer = await send(several.url, {
        method,
        headers: { ...headers, authorization },
        body,
      })
      expect(answer.status).toBe(404)
      expect(answer.body).not.toContain('session-')
    }
    expect([...stateful.requests, ...plain.requests]).toHaveLength(0)
  })

  it('that was tampered with anywhere', async () => {
    const { 'mcp-session-id': id } = await open(single)
    stateful.clear()
    for (let at = 0; at < id.length - 1; at += 7) {
      const flipped = `${id.slice(0, at)}${id[at] === 'A' ? 'B' : 'A'}${id.slice(at + 1)}`
      const response = await single.post(callOf('target_echo'), { 'mcp-session-id': flipped })
      expect(response.status).toBe(404)
    }
    expect(stateful.requests).toHaveLength(0)
  })

  it.each(['v1.', 'v1.AAAA', 'x', `v1.${'A'.repeat(5_000)}`, 'v2.AAAA', 'session-1'])(
    'that is %j',
    async (id) => {
      const response = await single.post(callOf('target_echo'), { 'mcp-session-id': id })
      expect(response.status).toBe(404)
      expect(stateful.requests).toHaveLength(0)
    },
  )

  it('that the target gave itself', async () => {
    await open(single)
    const id = [...stateful.sessions].at(-1) ?? ''
    const response = await single.post(callOf('target_echo'), { 'mcp-session-id': id })
    expect(response.status).toBe(404)
  })

  it('of another deployment, even with the same secret and subject', async () => {
    const config = { session: { secret: SECRET }, server: { publicUrl: 'http://localhost:8124' } }
    const targets = { target: stateful.url }
    const other = await startStack({ targets, identity: single.identity, config })
    try {
      const headers = await open(other)
      expect((await single.post(callOf('target_echo'), headers)).status).toBe(404)
      expect((await other.post(callOf('target_echo'), headers)).status).toBe(200)
    } finally {
      await other.close()
    }
  })

  it('that is older than a day', async () => {
    let later = 0
    const shifted = { ...clock, now: () => Date.now() + later }
    const targets = { target: stateful.url }
    const stack = await startStack({ targets, clock: shifted })
    try {
      const headers = await open(stack)
      later = 24 * 3_600_000 - 5_000
      const authorization = `Bearer ${await stack.token()}`
      const message = callOf('target_echo')
      expect((await stack.post(message, { ...headers, authorization })).status).toBe(200)
      later = 24 * 3_600_000 + 5_000
      expect((await stack.post(message, { ...headers, authorization })).status).toBe(404)
    } finally {
      await stack.close()
    }
  })
})

describe('another process', () => {
  const start = (session: { secret?: string; previousSecrets?: string[] }) =>
    startStack({
      targets: { target: stateful.url },
      identity: single.identity,
      config: { session, server: { publicUrl: PUBLIC } },
    })

  it('[mcp-session-404] with the same secret serves the session on every verb', async () => {
    const headers = await open(single)
    const replica = await start({ secret: SECRET })
    try {
      expect((await replica.post(callOf('target_echo'), headers)).status).toBe(200)
      const authorization = `Bearer ${await replica.token()}`
      const abort = new AbortController()
      const stream = await fetch(replica.url, {
        headers: { ...headers, authorization },
        signal: abort.signal,
      })
      expect(stream.status).toBe(200)
      abort.abort()
      const ended = await send(replica.url, {
        method: 'DELETE',
        headers: { ...headers, authorization },
      })
      expect(ended.status).toBe(200)
      expect((await single.post(callOf('target_echo'), headers)).status).toBe(404)
    } finally {
      await replica.close()
    }
  })

  it('with a new secret opens what the previous one sealed, and seals with the new one', async () => {
    const headers = await open(single)
    const rotated = await start({ secret: `new-${SECRET}`, previousSecrets: [SECRET] })
    try {
      expect((await rotated.post(callOf('target_echo'), headers)).status).toBe(200)
      const fresh = await open(rotated)
      expect((await rotated.post(callOf('target_echo'), fresh)).status).toBe(200)
      expect((await single.post(callOf('target_echo'), fresh)).status).toBe(404)
    } finally {
      await rotated.close()
    }
  })

  it('with another secret, or none, does not', async () => {
    const headers = await open(single)
    for (const session of [{ secret: `other-${SECRET}` }, {}]) {
      const foreign = await start(session)
      expect((await foreign.post(callOf('target_echo'), headers)).status).toBe(404)
      await foreign.close()
    }
  })
})

describe('a client that sends no session id', () => {
  it('gets a session for the request, which is ended afterwards', async () => {
    expect((await readMessage(await single.post(callOf('target_echo')))).result).toBeDefined()
    const { sessionId } = await stateful.until(({ method }) => method === 'DELETE')
    expect(stateful.of('tools/call').at(-1)?.sessionId).toBe(sessionId)
    expect(stateful.of('notifications/initialized')).toHaveLength(1)
  })

  it('gets one where several targets are asked for a list, too', async () => {
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
    const { result } = await readMessage(await several.post(message))
    const names = result.tools.map(({ name }: { name: string }) => name)
    expect(names).toEqual(['a_echo', 'b_echo'])
    await stateful.until(({ method }) => method === 'DELETE')
  })

  it('leaves no session behind when it gives up', async () => {
    stateful.on('tools/call', () => NO_ANSWER)
    const given = new Set(stateful.sessions)
    const authorization = `Bearer ${await single.token()}`
    const answer = post(
      single.url,
      'tools/call',
      { name: 'target_echo' },
      {
        headers: { authorization },
        patienceMs: 400,
      },
    )
    const request = await stateful.until(
      ({ rpc, sessionId }) => rpc === 'tools/call' && !!sessionId,
    )
    expect((await answer).error).toBe('TIMEOUT')
    expect(await request.closed).toBe('aborted')
    await eventually(() => {
      expect([...stateful.sessions].filter((id) => !given.has(id))).toEqual([])
    })
  })
})

describe('a target that forgot its session', () => {
  it('makes the client start anew when it is the only one', async () => {
    const headers = await open(single)
    await stateful.forget()
    stateful.clear()
    expect((await single.post(callOf('target_echo'), headers)).status).toBe(404)
    expect(stateful.of('initialize')).toHaveLength(0)
  })

  it('is opened again among several, and the call reaches it once', async () => {
    const headers = await open(several)
    const before = [...stateful.sessions].at(-1)
    await stateful.forget()
    stateful.clear()
    plain.clear()
    const calls = Array.from({ length: 5 }, (_, i) =>
      several.post({ ...callOf('b_echo'), id: i }, headers),
    )
    const answers = await Promise.all((await Promise.all(calls)).map(readMessage))
    expect(answers.map(({ id, result }) => [id, result !== undefined])).toEqual(
      [0, 1, 2, 3, 4].map((id) => [id, true]),
    )
    expect(stateful.of('initialize')).toHaveLength(1)
    expect(stateful.of('initialize')[0]?.message).toMatchObject({ params: HELLO.params })
    const reached = stateful.of('tools/call').filter(({ sessionId }) => sessionId !== before)
    expect(reached).toHaveLength(5)
    expect(plain.requests).toHaveLength(0)
    stateful.clear()
    await several.post(callOf('b_echo'), headers)
    expect(stateful.requests.map(({ rpc }) => rpc)).toEqual(['tools/call'])
  })

  it('fails alone when it cannot be opened again: the others keep the session', async () => {
    const headers = await open(several)
    await stateful.forget()
    stateful.intercept((request, response) => {
      if (request.rpc !== 'initialize') return false
      response.writeHead(500).end()
      return true
    })
    const response = await several.post(callOf('b_echo'), headers)
    expect(response.status).toBe(200)
    expect(await readMessage(response)).toMatchObject({
      id: 'c-1',
      error: { data: { target: 'b' } },
    })
    expect((await several.post(callOf('a_echo'), headers)).status).toBe(200)
  })

  it('that was down at the start is opened when it is needed, for the rest of the session', async () => {
    stateful.intercept((request, response) => {
      if (request.rpc !== 'initialize') return false
      response.writeHead(503).end()
      return true
    })
    const third = await startRecordingTarget({ sessions: 'required', tools: [tool('echo')] })
    const stack = await startStack({ targets: { b: stateful.url, c: third.url } })
    try {
      const headers = await open(stack)
      stateful.intercept(undefined)
      stateful.clear()
      for (let i = 0; i < 3; i++) {
        expect(
          (await readMessage(await stack.post(callOf('b_echo'), headers))).result,
        ).toBeDefined()
      }
      expect(stateful.of('initialize')).toHaveLength(1)
      expect(stateful.requests.some(({ method }) => method === 'DELETE')).toBe(false)
    } finally {
      await stack.close()
      await third.close()
    }
  })
})

describe('a 404 of a sessionless target', () => {
  it('does not end the session that the client has with the others', async () => {
    plain.on('tools/call', () => {
      throw new RpcFailure(-32601, 'no such thing', { status: 404 })
    })
    const response = await several.post(callOf('a_echo'), await open(several))
    expect(response.status).toBe(200)
    expect((await readMessage(response)).error).toMatchObject({ code: -32601 })
  })
})

it('an empty session id is none', async () => {
  const answer = await several.post(callOf('a_echo'), { 'mcp-session-id': '' })
  expect((await readMessage(answer)).result).toEqual({ content: [] })
})
