<?php

declare(strict_types=1);

require __DIR__ . '/../vendor/autoload.php';

$path = (string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: application/json');
echo (new Hello\Greeting($path, getenv('MODE') ?: 'development'))->json();
