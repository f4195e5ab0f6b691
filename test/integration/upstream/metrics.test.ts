import { afterAll, expect, it } from 'vitest'
import { startStack } from '../../helpers/stack.js'
import { connectAs, programTarget } from '../../helpers/targets/programs.js'
import { startSseTarget } from '../../helpers/targets/sse-v1.js'

const closing: (() => Promise<unknown>)[] = []

afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

it('the metrics count processes and streams, and /readyz tells how targets are', async () => {
  const sse = await startSseTarget()
  closing.push(sse.close)
  const stack = await startStack({
    targets: { program: await programTarget(), sse: sse.url },
    config: { server: { metricsPort: 0 } },
  })
  closing.push(stack.close)
  const { client, call } = await connectAs(stack, 'alice')
  closing.push(() => client.close())
  expect(await call('program_echo', { text: 'x' })).toBe('x')
  expect(await call('sse_echo', { text: 'x' })).toBe('x')
  const text = await stack.server.metrics?.text()
  expect(text).toContain('mcp_proxy_target_held{target="program",kind="child"} 1')
  expect(text).toContain('mcp_proxy_target_held{target="sse",kind="stream"} 1')
  const ready = await (await fetch(`${stack.origin}/readyz`)).json()
  expect(ready).toMatchObject({ targets: { program: 'ok', sse: 'ok' } })
})
