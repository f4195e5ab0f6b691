import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterEach, expect, it } from 'vitest'
import { buildProcess } from '../../helpers/processes/build.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { connectAs, programTarget } from '../../helpers/targets/programs.js'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function connectV2(stack: Stack): Promise<Client> {
  const client = new Client({ name: 'v2', version: '1' }, { versionNegotiation: { mode: 'auto' } })
  const authorization = `Bearer ${await stack.token({ sub: 'alice' })}`
  const requestInit = { headers: { authorization } }
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url), { requestInit }))
  closing.push(() => client.close())
  return client
}

it('a program that speaks 2026-07-28 is spoken with in that era, and beside it in the older one', async () => {
  const args = [await buildProcess('stdio-stateless')]
  const t = await programTarget({ prefix: '', args })
  const stack = await startStack({ targets: { t } })
  closing.push(stack.close)
  const client = await connectV2(stack)
  expect(client.getNegotiatedProtocolVersion()).toBe('2026-07-28')
  const result = await client.callTool({ name: 'echo', arguments: { text: 'modern' } })
  expect(JSON.stringify(result)).toContain('modern')
  const older = await connectAs(stack, 'alice')
  closing.push(() => older.client.close())
  expect(await older.call('echo', { text: 'older' })).toBe('older')
})

it('a program that does not is spoken with in the older one, by one process', async () => {
  const stack = await startStack({ targets: { t: await programTarget({ prefix: '' }) } })
  closing.push(stack.close)
  const client = await connectV2(stack)
  expect(client.getNegotiatedProtocolVersion()).toBe('2025-11-25')
  const result = await client.callTool({ name: 'echo', arguments: { text: 'older' } })
  expect(JSON.stringify(result)).toContain('older')
  const starts = stack.logs().filter(({ event }) => event === 'child_started')
  expect(starts).toHaveLength(1)
})
