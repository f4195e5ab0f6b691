/** A real MCP server of SDK v2 on stdin and stdout: 2026-07-28 and the older revisions. */
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createSdkV2Server } from '../targets/sdk-v2.js'

serveStdio(() => createSdkV2Server('stdio-stateless'))
