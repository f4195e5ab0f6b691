/** A real MCP server of SDK v1 on stdin and stdout, with tools that show what it is and misbehave. */
import { spawn } from 'node:child_process'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import * as z from 'zod'
import { createSdkV1Server } from '../targets/sdk-v1.js'

const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })

function registerSelf(server: McpServer): void {
  server.registerTool('pid', {}, () => text(String(process.pid)))
  server.registerTool('env', {}, () => text(JSON.stringify(process.env)))
  server.registerTool('cwd', {}, () => text(process.cwd()))
  server.registerTool('capabilities', {}, () =>
    text(JSON.stringify(server.server.getClientCapabilities() ?? null)),
  )
}

function registerMisbehaviour(server: McpServer): void {
  server.registerTool('crash', { inputSchema: { words: z.string() } }, ({ words }) => {
    process.stderr.write(`${words}\n`, () => process.exit(7))
    return new Promise(() => undefined)
  })
  server.registerTool('say', { inputSchema: { words: z.string() } }, ({ words }) => {
    process.stdout.write(`${words}\n`)
    return text('said')
  })
  server.registerTool('unended', { inputSchema: { bytes: z.number() } }, ({ bytes }) => {
    process.stdout.write('x'.repeat(bytes))
    return text('behind it, on the same line')
  })
  server.registerTool('grandchild', {}, () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      stdio: 'ignore',
    })
    return text(String(child.pid))
  })
  server.registerTool('large', { inputSchema: { bytes: z.number() } }, ({ bytes }) =>
    text('x'.repeat(bytes)),
  )
  server.registerTool(
    'flood',
    { inputSchema: { count: z.number(), bytes: z.number() } },
    async ({ count, bytes }, { _meta, sendNotification }) => {
      const message = 'x'.repeat(bytes)
      for (let progress = 1; progress <= count; progress += 1) {
        const progressToken = _meta?.progressToken ?? 0
        const params = { progressToken, progress, message }
        await sendNotification({ method: 'notifications/progress', params })
      }
      return text(String(count))
    },
  )
}

const [mode] = process.argv.slice(2)
if (mode === 'stubborn') {
  process.on('SIGTERM', () => undefined)
  setInterval(() => undefined, 1_000)
}
if (mode === 'silent') setInterval(() => undefined, 1_000)
else if (mode === 'failing') {
  process.stderr.write(`cannot start with ${process.env['API_KEY']}\n`, () => process.exit(3))
} else {
  const server = createSdkV1Server('stdio-target')
  registerSelf(server)
  registerMisbehaviour(server)
  await server.connect(new StdioServerTransport())
}
