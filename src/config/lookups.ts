/** What says where to look, and so cannot stand in a configuration file itself. */
export const LOOKUPS = [
  {
    key: 'config',
    flag: '--config <file>',
    env: 'MCP_DESCOPE_CONFIG',
    help: 'Configuration file, JSON or YAML.',
  },
  {
    key: 'profile',
    flag: '--profile <name>',
    env: 'MCP_DESCOPE_PROFILE',
    help: 'Profile of the configuration file to lay over it.',
  },
] as const
