import a11y from "eslint-plugin-jsx-a11y";
import hooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import ts from "typescript-eslint";

export default defineConfig([
  globalIgnores(["node_modules", "src/api/schema.ts"]),
  ts.configs.recommendedTypeChecked,
  {
    files: ["**/*.{ts,tsx}"],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/only-throw-error": "off",
      "max-lines": ["error", { max: 250, skipBlankLines: true, skipComments: true }],
      "no-console": "error",
    },
  },
  { files: ["**/*.tsx"], ...a11y.flatConfigs.strict },
  { files: ["**/*.tsx"], rules: { "jsx-a11y/no-noninteractive-tabindex": ["error", { tags: ["pre", "code"], roles: ["region", "log", "tabpanel"], allowExpressionValues: true }], "jsx-a11y/no-noninteractive-element-to-interactive-role": "off" } },
  hooks.configs.flat["recommended-latest"],
  { files: ["**/*.{js,mjs}"], extends: [ts.configs.disableTypeChecked] },
]);
