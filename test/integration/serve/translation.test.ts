import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { describe } from 'vitest'
import { connectHost } from '../../helpers/legacy-host.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { translatesForLegacyHosts } from '../../helpers/translation-suite.js'

async function transportTo({ url, token }: Stack) {
  const headers = { authorization: `Bearer ${await token()}` }
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
}

describe('an SDK v1 client at a target that speaks only 2026-07-28, through serve', () => {
  translatesForLegacyHosts(async (url) => {
    const stack = await startStack({ targets: { target: { url, prefix: '' } } })
    const host = await connectHost(await transportTo(stack))
    return {
      host,
      async close() {
        await host.close()
        await stack.close()
      },
    }
  })
})
