import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect, it } from 'vitest'
import { connectHost } from '../../helpers/legacy-host.js'
import { startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { startModernTarget } from '../../helpers/targets/modern.js'

it('[mcp-translate-input] an older client works with two targets of 2026-07-28 at once', async () => {
  const targets = { red: await startModernTarget(), blue: await startModernTarget() }
  const names = ['red', 'blue'] as const
  const stack = await startStack({ targets: { red: targets.red.url, blue: targets.blue.url } })
  const headers = { authorization: `Bearer ${await stack.token()}` }
  const host = await connectHost(
    new StreamableHTTPClientTransport(new URL(stack.url), { requestInit: { headers } }),
  )
  const { client } = host
  try {
    await Promise.all(
      names.map(async (name) => {
        expect(await host.call(`${name}_ask_user`)).toContain('Ada')
        expect(await host.call(`${name}_ask_model`)).toContain('"role"')
        expect(await host.call(`${name}_ask_roots`)).toContain('file:///project')
        const steps: number[] = []
        const params = { name: `${name}_progress`, arguments: { steps: name === 'red' ? 2 : 4 } }
        await client.callTool(params, undefined, {
          onprogress: ({ progress }) => steps.push(progress),
        })
        expect(steps).toEqual(name === 'red' ? [1, 2] : [1, 2, 3, 4])
        const ref = { type: 'ref/prompt' as const, name: `${name}_paint` }
        const argument = { name: 'colour', value: 'bl' }
        expect((await client.complete({ ref, argument })).completion.values).toContain('blue')
        await client.subscribeResource({ uri: `test://${name}/readme` })
      }),
    )
    await client.setLoggingLevel('info')
    await Promise.all(names.map((name) => host.call(`${name}_progress`, { steps: 1 })))
    expect(host.heard.filter((it) => it.startsWith('notifications/message')).length).toBe(2)
    for (const name of names) {
      const told = `notifications/resources/updated test://${name}/readme`
      await eventually(() => {
        targets[name].notify.resourceUpdated('test://readme')
        expect(host.heard).toContain(told)
      })
    }
  } finally {
    for (const { close } of [host, stack, targets.red, targets.blue]) await close()
  }
})
