import { parse as parseToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { connectOffers } from '../../../src/hosts/connect.js'
import { HOST_IDS, type HostId } from '../../../src/hosts/host.js'

const URL_ = 'https://mcp.example.com/mcp'
const offer = (id: HostId, url = URL_) => {
  const found = connectOffers(url).find((candidate) => candidate.id === id)
  if (found === undefined) throw new Error(`no offer for ${id}`)
  return found
}

describe('what people elsewhere are offered', () => {
  it('is something for each assistant', () => {
    expect(connectOffers(URL_).map(({ id }) => id)).toEqual([...HOST_IDS])
  })

  it('calls the URL where the assistant can, and starts the bridge where it cannot', () => {
    const server = (id: HostId, member: string) =>
      JSON.parse(offer(id).snippet)[member]['mcp-example-com']
    expect(server('claude-desktop', 'mcpServers')).toEqual({
      command: 'npx',
      args: ['-y', 'mcp-descope-proxy@0', 'stdio', URL_],
    })
    expect(server('claude-code', 'mcpServers')).toEqual({ type: 'http', url: URL_ })
    expect(server('cursor', 'mcpServers')).toEqual({ url: URL_ })
    expect(server('vscode', 'servers')).toEqual({ type: 'http', url: URL_ })
    expect(server('windsurf', 'mcpServers')).toEqual({ serverUrl: URL_ })
    expect(server('gemini', 'mcpServers')).toEqual({ httpUrl: URL_ })
    expect(parseToml(offer('codex').snippet)).toEqual({
      mcp_servers: { 'mcp-example-com': { url: URL_ } },
    })
  })

  it('names files by what each system calls the home folder, never by ours', () => {
    expect(offer('cursor').files).toEqual([
      { systems: 'macOS, Linux', path: '~/.cursor/mcp.json' },
      { systems: 'Windows', path: String.raw`%USERPROFILE%\.cursor\mcp.json` },
    ])
    expect(offer('claude-desktop').files).toEqual([
      { systems: 'macOS', path: '~/Library/Application Support/Claude/claude_desktop_config.json' },
      { systems: 'Linux', path: '~/.config/Claude/claude_desktop_config.json' },
      { systems: 'Windows', path: String.raw`%APPDATA%\Claude\claude_desktop_config.json` },
    ])
  })

  it('holds no quotes in its commands, so that every shell takes them', () => {
    expect(offer('claude-code').command).toBe(
      `claude mcp add --transport http --scope user mcp-example-com ${URL_}`,
    )
    expect(offer('cursor').add).toBe(`npx -y mcp-descope-proxy@0 add cursor ${URL_} --http --write`)
    expect(offer('claude-desktop').add).toBe(
      `npx -y mcp-descope-proxy@0 add claude-desktop ${URL_} --write`,
    )
    for (const { command = '', add } of connectOffers(URL_))
      expect(command + add).not.toMatch(/['"]/)
  })

  it('says how to sign in, by the name that the server has there', () => {
    expect(offer('codex').afterwards).toContain('`codex mcp login mcp-example-com`')
    expect(offer('gemini').afterwards).toContain('`/mcp auth mcp-example-com`')
  })

  it('offers a connector of Claude only for a server that Claude can reach', () => {
    expect(offer('claude-desktop').steps).toContain('Connectors')
    expect(offer('claude-desktop', 'http://localhost:8000/mcp').steps).toBeUndefined()
  })

  it('has a name even for an address', () => {
    expect(offer('codex', 'http://[::1]:3000/mcp').snippet).toContain('[mcp_servers.1-3000]')
  })
})
