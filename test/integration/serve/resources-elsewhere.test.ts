import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { connectAs } from '../../helpers/targets/programs.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSseTarget } from '../../helpers/targets/sse-v1.js'

/** A program with two resources that tells of changes of both when one is read. */
const PROGRAM = `
const out = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const uris = ['test://readme', 'test://secret']
const answers = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion, serverInfo: { name: 'p', version: '1' },
    capabilities: { resources: { subscribe: true } },
  }),
  'resources/list': () => ({ resources: uris.map((uri) => ({ uri, name: uri })) }),
  'resources/read': ({ uri }) => {
    for (const changed of uris) out({ method: 'notifications/resources/updated', params: { uri: changed } })
    return { contents: [{ uri, text: 'read' }] }
  },
}
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (id !== undefined) out({ id, result: answers[method]?.(params ?? {}) ?? {} })
})`

const resources = { deny: ['test://secret*', 'test://items/*'] }

describe.each([['a program'], ['a target on HTTP+SSE']])('rules for resources of %s', (kind) => {
  let stack: Stack
  let close = async () => {}
  beforeAll(async () => {
    const target: TargetInput = { resources, prefix: '' }
    if (kind === 'a program') {
      Object.assign(target, { command: process.execPath, args: ['-e', PROGRAM] })
    } else {
      const sse = await startSseTarget()
      close = () => sse.close()
      Object.assign(target, { url: sse.url, transport: 'sse' })
    }
    stack = await startStack({ targets: { t: target } })
  })
  afterAll(async () => {
    await stack.close()
    await close()
  })

  it('hold for its list, its reads and its updates', async () => {
    const heard: unknown[] = []
    const { client } = await connectAs(stack, 'me', {
      prepare: (it) => {
        it.fallbackNotificationHandler = async ({ method, params }) => {
          if (method === 'notifications/resources/updated') heard.push(params?.['uri'])
        }
      },
    })
    const { resources: listed } = await client.listResources()
    expect(listed.map(({ uri }) => uri)).toEqual(['test://readme'])
    expect((await client.readResource({ uri: 'test://readme' })).contents).toHaveLength(1)
    for (const uri of ['test://secret', 'TEST://secret', 'test://items/1', 'test://%69tems/1']) {
      await expect(client.readResource({ uri })).rejects.toThrow(`Unknown resource: ${uri}`)
      await expect(client.subscribeResource({ uri })).rejects.toThrow('Unknown resource')
    }
    if (kind === 'a program') await eventually(() => expect(heard).toEqual(['test://readme']))
    await client.close()
  })
})

describe('a session with a target that does not admit its user any more', () => {
  let vault: RecordingTarget
  let shared: RecordingTarget
  let stack: Stack
  beforeAll(async () => {
    vault = await startRecordingTarget({ sessions: 'required' })
    shared = await startRecordingTarget({ sessions: 'required' })
    stack = await startStack({
      config: { session: { secret: 'a-session-secret-of-more-than-32-bytes' } },
      targets: {
        shared: shared.url,
        vault: { url: vault.url, access: { roles: ['boss'] } },
      },
    })
  })
  afterAll(async () => {
    await stack.close()
    await Promise.all([vault.close(), shared.close()])
  })

  it('is ended there too when the client ends it', async () => {
    const hello = {
      ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
      },
    }
    const boss = { authorization: `Bearer ${await stack.token({ roles: ['boss'] })}` }
    const opened = await stack.post(hello, boss)
    await opened.text()
    expect(vault.sessions.size).toBe(1)
    const headers = {
      authorization: `Bearer ${await stack.token()}`,
      'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
    }
    const ended = await fetch(stack.url, { method: 'DELETE', headers })
    expect(ended.status).toBe(200)
    await eventually(() => expect([vault.sessions.size, shared.sessions.size]).toEqual([0, 0]))
  })
})
